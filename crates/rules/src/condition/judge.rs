//! The verdict on one record.

use super::fields::Found;
use super::{Check, Condition, Literal, Node, Number, Operand, Order, Test};
use std::borrow::Cow;
use types::Record;

pub(super) fn holds(condition: &Condition, record: &Record) -> bool {
    let fields = match &record.value {
        Some(value) if !condition.paths.is_empty() => condition.paths.find(value),
        _ => Vec::new(),
    };
    Case { record, fields }.node(&condition.root)
}

struct Case<'r> {
    record: &'r Record,
    fields: Vec<Option<Found<'r>>>,
}

impl Case<'_> {
    /// As deep as the condition is nested, which its reader bounds.
    fn node(&self, node: &Node) -> bool {
        match node {
            Node::All(nodes) => nodes.iter().all(|node| self.node(node)),
            Node::Any(nodes) => nodes.iter().any(|node| self.node(node)),
            Node::Not(node) => !self.node(node),
            Node::Test(test) => self.test(test),
        }
    }

    fn test(&self, test: &Test) -> bool {
        let text = |bytes| Found::Text(String::from_utf8_lossy(bytes));
        match &test.operand {
            Operand::Key => {
                self.record.key.as_ref().is_some_and(|key| check(&test.check, &text(key.bytes())))
            }
            // Of several headers of one name the last is shown to readers, so it is the one.
            Operand::Header(name) => {
                let mut headers = self.record.headers.iter().rev();
                headers
                    .find(|header| header.name == name.as_bytes())
                    .is_some_and(|header| check(&test.check, &text(&header.value)))
            }
            Operand::Data(_, field) => {
                let found = self.fields.get(*field).and_then(|found| found.as_ref());
                found.is_some_and(|found| check_exact(&test.check, found))
            }
        }
    }
}

/// Headers and keys are text: against a number the text counts as the number it writes.
fn check(check: &Check, found: &Found<'_>) -> bool {
    let Found::Text(text) = found else {
        return check_exact(check, found);
    };
    let number = || Number::parse(text).map(Found::Number);
    match check {
        Check::Order(..) => number().is_some_and(|number| check_exact(check, &number)),
        Check::Equals(literal) => is_text_of(text, literal),
        Check::Differs(literal) => !is_text_of(text, literal),
        Check::In(literals) => literals.iter().any(|literal| is_text_of(text, literal)),
        Check::Exists | Check::Prefix(_) => check_exact(check, found),
    }
}

fn is_text_of(text: &str, literal: &Literal) -> bool {
    match literal {
        Literal::Text(wanted) => **wanted == *text,
        Literal::Number(wanted) => Number::parse(text).is_some_and(|number| number == *wanted),
        Literal::Bool(true) => text == "true",
        Literal::Bool(false) => text == "false",
        Literal::Null => false,
    }
}

fn check_exact(check: &Check, found: &Found<'_>) -> bool {
    match check {
        Check::Exists => true,
        Check::Equals(literal) => is_literal(found, literal),
        Check::Differs(literal) => !is_literal(found, literal),
        Check::In(literals) => literals.iter().any(|literal| is_literal(found, literal)),
        Check::Prefix(prefix) => match found {
            Found::Text(text) => text.starts_with(&**prefix),
            _ => false,
        },
        Check::Order(order, bound) => match found {
            Found::Number(number) => match order {
                Order::Less => number < bound,
                Order::LessOrEqual => number <= bound,
                Order::Greater => number > bound,
                Order::GreaterOrEqual => number >= bound,
            },
            _ => false,
        },
    }
}

fn is_literal(found: &Found<'_>, literal: &Literal) -> bool {
    match (found, literal) {
        (Found::Text(text), Literal::Text(wanted)) => *text == Cow::Borrowed(&**wanted),
        (Found::Number(number), Literal::Number(wanted)) => number == wanted,
        (Found::Bool(value), Literal::Bool(wanted)) => value == wanted,
        (Found::Null, Literal::Null) => true,
        _ => false,
    }
}

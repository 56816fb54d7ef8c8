//! A condition as text again: one form for all that mean the same token by token, so that
//! subscribers who write alike share one.

use super::{Check, Condition, Literal, Node, Number, Operand, Order};
use std::fmt::{Display, Formatter, Result, Write};

impl Display for Condition {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        self.root.fmt(f)
    }
}

impl Display for Node {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Node::All(nodes) => joined(f, nodes, " and "),
            Node::Any(nodes) => joined(f, nodes, " or "),
            Node::Not(node) => write!(f, "not {}", Bracketed(node)),
            Node::Test(test) => {
                let operand = &test.operand;
                match &test.check {
                    Check::Exists => write!(f, "exists {operand}"),
                    Check::Equals(literal) => write!(f, "{operand} = {literal}"),
                    Check::Differs(literal) => write!(f, "{operand} != {literal}"),
                    Check::In(literals) => {
                        write!(f, "{operand} in (")?;
                        for (index, literal) in literals.iter().enumerate() {
                            write!(f, "{}{literal}", if index > 0 { ", " } else { "" })?;
                        }
                        f.write_char(')')
                    }
                    Check::Prefix(prefix) => {
                        write!(f, "{operand} ^= ")?;
                        quoted(f, prefix)
                    }
                    Check::Order(order, number) => write!(f, "{operand} {order} {number}"),
                }
            }
        }
    }
}

fn joined(f: &mut Formatter<'_>, nodes: &[Node], word: &str) -> Result {
    for (index, node) in nodes.iter().enumerate() {
        write!(f, "{}{}", if index > 0 { word } else { "" }, Bracketed(node))?;
    }
    Ok(())
}

/// With brackets where it is more than one test.
struct Bracketed<'n>(&'n Node);

impl Display for Bracketed<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self.0 {
            Node::All(_) | Node::Any(_) => write!(f, "({})", self.0),
            Node::Not(_) | Node::Test(_) => self.0.fmt(f),
        }
    }
}

impl Display for Operand {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Operand::Key => f.write_str("key"),
            Operand::Header(name) => {
                f.write_str("header.")?;
                quoted(f, name)
            }
            Operand::Data(steps, _) => {
                f.write_str("data")?;
                steps.iter().try_for_each(|step| {
                    f.write_char('.')?;
                    quoted(f, step)
                })
            }
        }
    }
}

impl Display for Literal {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Literal::Text(text) => quoted(f, text),
            Literal::Number(number) => number.fmt(f),
            Literal::Bool(value) => value.fmt(f),
            Literal::Null => f.write_str("null"),
        }
    }
}

impl Display for Number {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Number::Whole(whole) => whole.fmt(f),
            // The shortest text that reads back as the same number.
            Number::Real(real) => write!(f, "{real:?}"),
        }
    }
}

impl Display for Order {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.write_str(match self {
            Order::Less => "<",
            Order::LessOrEqual => "<=",
            Order::Greater => ">",
            Order::GreaterOrEqual => ">=",
        })
    }
}

fn quoted(f: &mut Formatter<'_>, text: &str) -> Result {
    f.write_char('"')?;
    for letter in text.chars() {
        if matches!(letter, '"' | '\\') {
            f.write_char('\\')?;
        }
        f.write_char(letter)?;
    }
    f.write_char('"')
}

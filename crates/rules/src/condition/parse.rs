//! Text to condition: one look ahead, no backtracking, nesting and counts bounded while reading.

use super::{
    Check, Condition, DEPTH_MAX, LITERALS_MAX, Literal, Node, Number, Operand, Order, Paths,
    STEPS_MAX, TESTS_MAX, TEXT_BYTES_MAX, Test,
};
use std::fmt;

/// What is wrong, and at which byte.
pub(super) struct Mistake {
    what: &'static str,
    at: usize,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at byte {}", self.what, self.at)
    }
}

type Read<T> = Result<T, Mistake>;

pub(super) fn parse(text: &str) -> Read<Condition> {
    if text.len() > TEXT_BYTES_MAX {
        return Err(Mistake { what: "it has more than 2048 bytes", at: TEXT_BYTES_MAX });
    }
    let mut reader =
        Reader { text, at: 0, tests: 0, literals: 0, depth: 0, paths: Paths::default() };
    let root = reader.any()?;
    reader.space();
    match reader.rest().is_empty() {
        true => Ok(Condition { root, paths: reader.paths }),
        false => Err(reader.mistake("`and`, `or` or the end is expected")),
    }
}

struct Reader<'t> {
    text: &'t str,
    at: usize,
    tests: usize,
    literals: usize,
    depth: usize,
    paths: Paths,
}

impl<'t> Reader<'t> {
    fn any(&mut self) -> Read<Node> {
        let first = self.all()?;
        if !self.take_word("or") {
            return Ok(first);
        }
        let mut nodes = vec![first, self.all()?];
        while self.take_word("or") {
            nodes.push(self.all()?);
        }
        Ok(Node::Any(nodes))
    }

    fn all(&mut self) -> Read<Node> {
        let first = self.one()?;
        if !self.take_word("and") {
            return Ok(first);
        }
        let mut nodes = vec![first, self.one()?];
        while self.take_word("and") {
            nodes.push(self.one()?);
        }
        Ok(Node::All(nodes))
    }

    fn one(&mut self) -> Read<Node> {
        if self.depth >= DEPTH_MAX {
            return Err(self.mistake("it is nested too deeply"));
        }
        self.depth += 1;
        let node = if self.take_word("not") {
            Node::Not(Box::new(self.one()?))
        } else if self.take("(") {
            let node = self.any()?;
            self.expect(")", "`)` is expected")?;
            node
        } else {
            Node::Test(self.test()?)
        };
        self.depth -= 1;
        Ok(node)
    }

    fn test(&mut self) -> Read<Test> {
        self.tests += 1;
        if self.tests > TESTS_MAX {
            return Err(self.mistake("it has more than 64 tests"));
        }
        if self.take_word("exists") {
            return Ok(Test { operand: self.operand()?, check: Check::Exists });
        }
        let operand = self.operand()?;
        let check = if self.take("!=") {
            Check::Differs(self.literal()?)
        } else if self.take("^=") {
            match self.literal()? {
                Literal::Text(prefix) => Check::Prefix(prefix),
                _ => return Err(self.mistake("a prefix is text")),
            }
        } else if self.take("<=") {
            Check::Order(Order::LessOrEqual, self.number()?)
        } else if self.take(">=") {
            Check::Order(Order::GreaterOrEqual, self.number()?)
        } else if self.take("<") {
            Check::Order(Order::Less, self.number()?)
        } else if self.take(">") {
            Check::Order(Order::Greater, self.number()?)
        } else if self.take("=") {
            Check::Equals(self.literal()?)
        } else if self.take_word("in") {
            Check::In(self.list()?)
        } else {
            return Err(self.mistake("= != < <= > >= ^= or `in` is expected"));
        };
        Ok(Test { operand, check })
    }

    fn operand(&mut self) -> Read<Operand> {
        if self.take_word("key") {
            return Ok(Operand::Key);
        }
        if self.take_word("header") {
            self.expect(".", "`.` and the header's name are expected")?;
            return Ok(Operand::Header(self.name()?));
        }
        if !self.take_word("data") {
            return Err(self.mistake("key, header.NAME or data.FIELD is expected"));
        }
        let mut steps = Vec::new();
        while self.take(".") {
            if steps.len() >= STEPS_MAX {
                return Err(self.mistake("the field lies too deep"));
            }
            steps.push(self.name()?);
        }
        let field = self.paths.add(&steps);
        Ok(Operand::Data(steps.into(), field))
    }

    /// Letters, digits, `_` and `-`, or anything in quotes.
    fn name(&mut self) -> Read<Box<str>> {
        self.space();
        if self.rest().starts_with(['"', '\'']) {
            return self.quoted();
        }
        let word = self.word();
        if word.is_empty() {
            return Err(self.mistake("a name is expected"));
        }
        self.at += word.len();
        Ok(word.into())
    }

    fn list(&mut self) -> Read<Vec<Literal>> {
        self.expect("(", "`(` is expected")?;
        let mut literals = vec![self.literal()?];
        while self.take(",") {
            literals.push(self.literal()?);
        }
        self.expect(")", "`,` or `)` is expected")?;
        Ok(literals)
    }

    fn number(&mut self) -> Read<Number> {
        match self.literal()? {
            Literal::Number(number) => Ok(number),
            _ => Err(self.mistake("only numbers have an order")),
        }
    }

    fn literal(&mut self) -> Read<Literal> {
        self.literals += 1;
        if self.literals > LITERALS_MAX {
            return Err(self.mistake("it has more than 256 values"));
        }
        self.space();
        if self.rest().starts_with(['"', '\'']) {
            return Ok(Literal::Text(self.quoted()?));
        }
        for (word, literal) in [
            ("true", Literal::Bool(true)),
            ("false", Literal::Bool(false)),
            ("null", Literal::Null),
        ] {
            if self.take_word(word) {
                return Ok(literal);
            }
        }
        let is_of_number =
            |byte: &u8| byte.is_ascii_digit() || matches!(byte, b'-' | b'+' | b'.' | b'e' | b'E');
        let length = self.rest().bytes().take_while(|byte| is_of_number(byte)).count();
        let (text, starts_well) = (&self.rest()[..length], self.rest().starts_with('+'));
        match Number::parse(text).filter(|_| !starts_well) {
            Some(number) => {
                self.at += length;
                Ok(Literal::Number(number))
            }
            None => {
                Err(self.mistake("a text in quotes, a number, true, false or null is expected"))
            }
        }
    }

    /// Text between quotes of either kind; `\` makes the letter after it stand for itself.
    fn quoted(&mut self) -> Read<Box<str>> {
        let mut letters = self.rest().char_indices();
        let Some((_, quote)) = letters.next() else {
            return Err(self.mistake("a quote is expected"));
        };
        let mut text = String::new();
        while let Some((at, letter)) = letters.next() {
            if letter == quote {
                self.at += at + letter.len_utf8();
                return Ok(text.into());
            }
            match letter {
                '\\' => match letters.next() {
                    Some((_, escaped)) => text.push(escaped),
                    None => break,
                },
                letter => text.push(letter),
            }
        }
        Err(self.mistake("the closing quote is missing"))
    }

    fn rest(&self) -> &'t str {
        // `at` only moves by whole letters that were read.
        self.text.get(self.at..).unwrap_or_default()
    }

    fn space(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start().len();
    }

    fn take(&mut self, sign: &str) -> bool {
        self.space();
        let is_there = self.rest().starts_with(sign);
        self.at += if is_there { sign.len() } else { 0 };
        is_there
    }

    fn expect(&mut self, sign: &str, what: &'static str) -> Read<()> {
        if self.take(sign) { Ok(()) } else { Err(self.mistake(what)) }
    }

    fn word(&self) -> &'t str {
        let rest = self.rest();
        let is_in = |letter: char| letter.is_alphanumeric() || matches!(letter, '_' | '-');
        let end = rest.find(|letter| !is_in(letter)).unwrap_or(rest.len());
        &rest[..end]
    }

    /// A whole word, in small or capital letters.
    fn take_word(&mut self, word: &str) -> bool {
        self.space();
        let is_there = self.word().eq_ignore_ascii_case(word);
        self.at += if is_there { word.len() } else { 0 };
        is_there
    }

    fn mistake(&self, what: &'static str) -> Mistake {
        Mistake { what, at: self.at }
    }
}

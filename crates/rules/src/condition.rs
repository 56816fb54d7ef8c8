//! A condition on a record: its key, its headers and the fields of a JSON value, compared and
//! joined by `and`, `or` and `not`. Subscriptions carry one to take fewer records than their
//! filter does. It must not know who subscribes, nor any wire form.
//!
//! ```text
//! header.region = "eu" and (data.price > 100 or not data.state in ("open", "held"))
//! ```
//! Read once (`parse`), bounded in length, depth and number of tests, and then judged per record
//! without an allocation that outlives the call.

mod fields;
mod judge;
mod parse;
mod print;

use fields::Paths;
use port::{Code, Refusal};
use types::Record;

/// Bytes of one condition's text at most.
pub const TEXT_BYTES_MAX: usize = 2_048;
/// `not`s and brackets within each other at most.
pub const DEPTH_MAX: usize = 16;
/// Tests in one condition at most.
pub const TESTS_MAX: usize = 64;
/// Values in all lists of `in` together at most.
pub const LITERALS_MAX: usize = 256;
/// Steps from the value to one of its fields at most.
pub const STEPS_MAX: usize = 16;

/// A condition, ready to judge.
#[derive(Debug)]
pub struct Condition {
    root: Node,
    paths: Paths,
}

#[derive(Debug, PartialEq)]
enum Node {
    All(Vec<Node>),
    Any(Vec<Node>),
    Not(Box<Node>),
    Test(Test),
}

#[derive(Debug, PartialEq)]
struct Test {
    operand: Operand,
    check: Check,
}

/// What of a record is looked at.
#[derive(Debug, Clone, PartialEq)]
enum Operand {
    Key,
    Header(Box<str>),
    /// A field of the value; no steps are the value itself. The number is the field's place among
    /// those the condition names.
    Data(Box<[Box<str>]>, usize),
}

/// Each is false of what is not there. `Differs` is of something there.
#[derive(Debug, PartialEq)]
enum Check {
    Exists,
    Equals(Literal),
    Differs(Literal),
    In(Vec<Literal>),
    Prefix(Box<str>),
    Order(Order, Number),
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Order {
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

#[derive(Debug, Clone, PartialEq)]
enum Literal {
    Text(Box<str>),
    Number(Number),
    Bool(bool),
    Null,
}

/// Whole numbers are exact, whatever their size in a JSON value of 64 bits.
#[derive(Debug, Clone, Copy)]
enum Number {
    Whole(i128),
    Real(f64),
}

impl Condition {
    /// Reads a condition.
    ///
    /// # Errors
    /// `INVALID_FILTER` with the place of the mistake; the field is `where`.
    pub fn parse(text: &str) -> Result<Condition, Refusal> {
        parse::parse(text).map_err(|mistake| {
            Refusal::new(Code::InvalidFilter, format!("the condition is not one: {mistake}"))
                .field("where")
                .hint("header.NAME, data.FIELD or key; = != < <= > >= ^= in exists; and or not ()")
        })
    }

    /// Whether the record satisfies the condition. The value is read at most once, and only when
    /// the condition names a field of it.
    pub fn holds(&self, record: &Record) -> bool {
        judge::holds(self, record)
    }
}

impl PartialEq for Number {
    fn eq(&self, other: &Number) -> bool {
        self.partial_cmp(other) == Some(std::cmp::Ordering::Equal)
    }
}

impl PartialOrd for Number {
    fn partial_cmp(&self, other: &Number) -> Option<std::cmp::Ordering> {
        match (self, other) {
            (Number::Whole(one), Number::Whole(other)) => one.partial_cmp(other),
            _ => self.real().partial_cmp(&other.real()),
        }
    }
}

impl Number {
    fn real(self) -> f64 {
        match self {
            // The nearest one is what a comparison with a real number means.
            Number::Whole(whole) => whole as f64,
            Number::Real(real) => real,
        }
    }

    /// A number as JSON writes it; `None` when the text is anything else.
    fn parse(text: &str) -> Option<Number> {
        let looks_like_one = text
            .bytes()
            .all(|byte| byte.is_ascii_digit() || matches!(byte, b'-' | b'+' | b'.' | b'e' | b'E'));
        if text.is_empty() || text.len() > 64 || !looks_like_one {
            return None;
        }
        if let Ok(whole) = text.parse::<i128>() {
            return Some(Number::Whole(whole));
        }
        text.parse::<f64>().ok().filter(|real| real.is_finite()).map(Number::Real)
    }
}

//! From what a certificate says to the name that it stands for: rules in the grammar of Kafka's
//! `ssl.principal.mapping.rules`. The first rule whose pattern is the whole text decides; where
//! none is, the certificate stands for nobody.
//!
//! ```text
//! RULE:pattern/replacement/        $1 in the replacement is the first group of the pattern
//! RULE:pattern/replacement/L       in small letters; U: in capital letters
//! DEFAULT                          the text as it is
//! ```

use crate::pattern;
use port::{Code, Refusal};
use regex::Regex;

/// Rules of one listener at most.
const RULES_MAX: usize = 64;
/// Bytes of a name that comes of it.
const NAME_BYTES_MAX: usize = 512;

#[derive(Debug, Clone)]
enum Rule {
    Default,
    Mapped { pattern: Regex, replacement: Vec<Piece>, letters: Letters },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Letters {
    AsTheyAre,
    Small,
    Capital,
}

impl Letters {
    pub fn of(self, name: String) -> String {
        match self {
            Letters::AsTheyAre => name,
            Letters::Small => name.to_lowercase(),
            Letters::Capital => name.to_uppercase(),
        }
    }
}

/// A piece of what a rule makes a name of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    Text(String),
    /// What was found under this number.
    Group(usize),
}

impl Piece {
    /// Whether it names a group where there are only so many.
    pub fn is_beyond(&self, count: usize) -> bool {
        matches!(self, Piece::Group(group) if *group >= count)
    }
}

#[derive(Debug, Clone)]
pub struct Rules(Vec<Rule>);

impl Rules {
    /// # Errors
    /// Which rule cannot be read, and why.
    pub fn parse(texts: &[String]) -> Result<Rules, Refusal> {
        if texts.is_empty() || texts.len() > RULES_MAX {
            return Err(wrong(format!("there are 1 to {RULES_MAX} rules")));
        }
        let parse = |text: &String| {
            rule(text.trim()).map_err(|why| wrong(format!("the rule `{text}`: {why}")))
        };
        texts.iter().map(parse).collect::<Result<_, _>>().map(Rules)
    }

    /// `None`: for nobody.
    pub fn name(&self, text: &str) -> Option<String> {
        let name = self.0.iter().find_map(|rule| rule.name(text))?;
        (!name.is_empty() && name.len() <= NAME_BYTES_MAX).then_some(name)
    }
}

fn wrong(why: String) -> Refusal {
    Refusal::new(Code::InvalidRequest, why)
        .field("principals")
        .hint("`DEFAULT`, or `RULE:pattern/replacement/` with `L` or `U` behind it")
}

impl Rule {
    fn name(&self, text: &str) -> Option<String> {
        let Rule::Mapped { pattern, replacement, letters } = self else {
            return Some(text.to_owned());
        };
        let groups = pattern.captures(text)?;
        let found = |group| groups.get(group).map_or("", |found| found.as_str());
        Some(letters.of(filled(replacement, found)))
    }
}

/// The pieces in a row, each group as it was found.
pub fn filled<'a>(pieces: &'a [Piece], found: impl Fn(usize) -> &'a str) -> String {
    let part = |piece: &'a Piece| match piece {
        Piece::Text(text) => text,
        Piece::Group(group) => found(*group),
    };
    pieces.iter().map(part).collect()
}

fn rule(text: &str) -> Result<Rule, String> {
    if text == "DEFAULT" {
        return Ok(Rule::Default);
    }
    let rest =
        text.strip_prefix("RULE:").ok_or("it begins neither with `RULE:` nor is `DEFAULT`")?;
    let (pattern, rest) = until_slash(rest).ok_or("no `/` ends the pattern")?;
    let (replacement, letters) = until_slash(rest).ok_or("no `/` ends the replacement")?;
    let letters = match letters {
        "" => Letters::AsTheyAre,
        "L" => Letters::Small,
        "U" => Letters::Capital,
        _ => return Err("only `L` or `U` may follow the last `/`".to_owned()),
    };
    let pattern = pattern::whole(&pattern.replace("\\/", "/"))?;
    let replacement = pieces(&replacement.replace("\\/", "/"))?;
    let known = pattern.captures_len();
    if replacement.iter().any(|piece| piece.is_beyond(known)) {
        return Err("the replacement names a group that the pattern does not have".to_owned());
    }
    Ok(Rule::Mapped { pattern, replacement, letters })
}

/// What stands before the first slash that no backslash stands before, and what behind.
fn until_slash(text: &str) -> Option<(&str, &str)> {
    let mut is_escaped = false;
    for (at, sign) in text.char_indices() {
        match sign {
            '/' if !is_escaped => return Some((text.get(..at)?, text.get(at + 1..)?)),
            '\\' => is_escaped = !is_escaped,
            _ => is_escaped = false,
        }
    }
    None
}

/// Text and `$1`, `$2` ...; a backslash before a sign takes its meaning away.
pub fn pieces(text: &str) -> Result<Vec<Piece>, String> {
    let mut pieces = Vec::new();
    let mut plain = String::new();
    let mut signs = text.chars().peekable();
    while let Some(sign) = signs.next() {
        match sign {
            '\\' => plain.push(signs.next().ok_or("nothing follows the last backslash")?),
            '$' => {
                let digit = signs.next().and_then(|digit| digit.to_digit(10));
                let group = digit.ok_or("a digit follows each `$`")?;
                if !plain.is_empty() {
                    pieces.push(Piece::Text(std::mem::take(&mut plain)));
                }
                pieces.push(Piece::Group(group as usize));
            }
            sign => plain.push(sign),
        }
    }
    if !plain.is_empty() {
        pieces.push(Piece::Text(plain));
    }
    Ok(pieces)
}

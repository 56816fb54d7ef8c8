//! From a principal of Kerberos to the name that it stands for: rules in the grammar of Kafka's
//! `sasl.kerberos.principal.to.local.rules`. The first rule that fits decides; where none does, or
//! what comes out is no simple name, the principal stands for nobody.
//!
//! ```text
//! RULE:[2:$1@$0](.*@EXAMPLE\.COM)s/@.*//g/L
//!       | |      |               | |     | in small letters; U: in capital letters
//!       | |      |               | |     not the first alone, every one that is found
//!       | |      |               what is found in it is replaced ($1: the pattern's first group)
//!       | |      the whole of it must be this
//!       | $0 the realm, $1 the first part, $2 the second
//!       of principals with two parts: primary/instance@REALM
//! DEFAULT        the first part, where the realm is our own
//! ```

use crate::pattern;
use crate::principal::{Letters, Piece, filled, pieces};
use port::{Code, Refusal};
use regex::{Captures, Regex};

/// Rules of one listener at most.
const RULES_MAX: usize = 1_000;
/// Bytes of one of them.
const RULE_BYTES_MAX: usize = 2_000;
/// Bytes of a principal that is looked at.
const PRINCIPAL_BYTES_MAX: usize = 1_024;
/// Bytes of what a rule makes of its parts, before it replaces anything in it.
const BASE_BYTES_MAX: usize = 4_096;
/// Bytes of a name that comes of it.
const NAME_BYTES_MAX: usize = 512;

/// Who a ticket says its client is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    primary: String,
    instance: Option<String>,
    realm: String,
}

impl Principal {
    /// Reads `primary@REALM` or `primary/instance@REALM`. `None` for all others: what has more
    /// parts, and what has signs of the grammar inside a part, which libkrb5 writes with a
    /// backslash.
    pub fn parse(text: &str) -> Option<Principal> {
        let (name, realm) = text.split_once('@')?;
        let (primary, instance) = match name.split_once('/') {
            Some((primary, instance)) => (primary, Some(instance)),
            None => (name, None),
        };
        let is_part = |part: &str| {
            let is_plain = |sign: char| !sign.is_control() && !"/@\\".contains(sign);
            !part.is_empty() && part.chars().all(is_plain)
        };
        let is_one = text.len() <= PRINCIPAL_BYTES_MAX
            && is_part(primary)
            && instance.is_none_or(is_part)
            && is_part(realm);
        let (primary, instance) = (primary.to_owned(), instance.map(str::to_owned));
        is_one.then(|| Principal { primary, instance, realm: realm.to_owned() })
    }

    /// Its parts before the realm, as they are written.
    pub fn name(&self) -> String {
        match &self.instance {
            Some(instance) => format!("{}/{instance}", self.primary),
            None => self.primary.clone(),
        }
    }

    fn part(&self, number: usize) -> &str {
        match number {
            0 => &self.realm,
            1 => &self.primary,
            _ => self.instance.as_deref().unwrap_or_default(),
        }
    }

    fn count(&self) -> usize {
        if self.instance.is_some() { 2 } else { 1 }
    }
}

impl std::fmt::Display for Principal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}@{}", self.name(), self.realm)
    }
}

#[derive(Debug, Clone)]
enum Rule {
    Default,
    Mapped(Mapping),
}

#[derive(Debug, Clone)]
struct Mapping {
    /// Of how many parts before the realm it speaks.
    count: usize,
    base: Vec<Piece>,
    condition: Option<Regex>,
    change: Option<Change>,
    letters: Letters,
}

#[derive(Debug, Clone)]
struct Change {
    pattern: Regex,
    replacement: Vec<Piece>,
    found: Found,
}

/// How much of what is found is replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Found {
    First,
    Every,
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

    /// The name that a principal stands for, where `realm` is our own. `None`: it is nobody.
    pub fn name(&self, principal: &Principal, realm: Option<&str>) -> Option<String> {
        let name = self.0.iter().find_map(|rule| rule.name(principal, realm))?;
        let is_simple =
            !name.is_empty() && name.len() <= NAME_BYTES_MAX && !name.contains(['/', '@']);
        is_simple.then_some(name)
    }
}

fn wrong(why: String) -> Refusal {
    Refusal::new(Code::InvalidRequest, why)
        .field("principals")
        .hint("`DEFAULT`, or `RULE:[n:text](regexp)s/pattern/replacement/g/L`")
}

impl Rule {
    fn name(&self, principal: &Principal, realm: Option<&str>) -> Option<String> {
        match self {
            Rule::Default => (realm == Some(&*principal.realm)).then(|| principal.primary.clone()),
            Rule::Mapped(mapping) => mapping.name(principal),
        }
    }
}

impl Mapping {
    fn name(&self, principal: &Principal) -> Option<String> {
        if self.count != principal.count() {
            return None;
        }
        let base = filled(&self.base, |number| principal.part(number));
        if base.len() > BASE_BYTES_MAX {
            return None;
        }
        if self.condition.as_ref().is_some_and(|condition| !condition.is_match(&base)) {
            return None;
        }
        let name = match &self.change {
            Some(change) => change.made(&base),
            None => base,
        };
        Some(self.letters.of(name))
    }
}

impl Change {
    fn made(&self, base: &str) -> String {
        let count = match self.found {
            Found::First => 1,
            // Of all that is there.
            Found::Every => 0,
        };
        let replaced = |groups: &Captures<'_>| {
            let found = |group| groups.get(group).map_or("", |found| found.as_str());
            filled(&self.replacement, found)
        };
        self.pattern.replacen(base, count, replaced).into_owned()
    }
}

fn rule(text: &str) -> Result<Rule, String> {
    if text.len() > RULE_BYTES_MAX {
        return Err(format!("a rule has at most {RULE_BYTES_MAX} bytes"));
    }
    if text == "DEFAULT" {
        return Ok(Rule::Default);
    }
    let rest =
        text.strip_prefix("RULE:[").ok_or("it begins neither with `RULE:[` nor is `DEFAULT`")?;
    let (head, rest) = rest.split_once(']').ok_or("no `]` ends what it begins with")?;
    let (count, base) = head.split_once(':').ok_or("`[n:text]` says how many parts there are")?;
    let count = match count {
        "1" => 1,
        "2" => 2,
        _ => return Err("a principal has 1 or 2 parts before its realm".to_owned()),
    };
    let (condition, rest) = condition(rest)?;
    let (change, rest) = change(rest)?;
    let letters = match rest.strip_prefix('/').unwrap_or(rest) {
        "" => Letters::AsTheyAre,
        "L" => Letters::Small,
        "U" => Letters::Capital,
        other => return Err(format!("`{other}` is left over at its end")),
    };
    Ok(Rule::Mapped(Mapping { count, base: parts(base, count)?, condition, change, letters }))
}

/// `(regexp)`, if it is there, and what follows.
fn condition(text: &str) -> Result<(Option<Regex>, &str), String> {
    let Some(rest) = text.strip_prefix('(') else { return Ok((None, text)) };
    let (expression, rest) = rest.split_once(')').ok_or("no `)` ends the expression")?;
    Ok((Some(pattern::whole(expression)?), rest))
}

/// `s/pattern/replacement/`, with `g` behind it or not, if it is there, and what follows. A slash
/// in one of them cannot be written, as with Kafka.
fn change(text: &str) -> Result<(Option<Change>, &str), String> {
    let Some(rest) = text.strip_prefix("s/") else { return Ok((None, text)) };
    let (expression, rest) = rest.split_once('/').ok_or("no `/` ends the pattern")?;
    let (replacement, rest) = rest.split_once('/').ok_or("no `/` ends the replacement")?;
    let pattern = pattern::anywhere(expression)?;
    let replacement = pieces(replacement)?;
    if replacement.iter().any(|piece| piece.is_beyond(pattern.captures_len())) {
        return Err("the replacement names a group that the pattern does not have".to_owned());
    }
    let (found, rest) = match rest.strip_prefix('g') {
        Some(rest) => (Found::Every, rest),
        None => (Found::First, rest),
    };
    Ok((Some(Change { pattern, replacement, found }), rest))
}

/// Text with `$0`, `$1` and `$2` for realm and parts. There is no way to write a `$` itself.
fn parts(text: &str, count: usize) -> Result<Vec<Piece>, String> {
    let mut texts = text.split('$');
    let mut parts = vec![Piece::Text(texts.next().unwrap_or_default().to_owned())];
    for text in texts {
        let (number, rest) = text.split_at(text.bytes().take_while(u8::is_ascii_digit).count());
        let number: usize = number.parse().map_err(|_| "a digit follows each `$`")?;
        if number > count {
            return Err(format!("it names a part beyond `${count}`"));
        }
        parts.extend([Piece::Group(number), Piece::Text(rest.to_owned())]);
    }
    Ok(parts)
}

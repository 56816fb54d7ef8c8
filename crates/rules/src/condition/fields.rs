//! The fields a condition names, taken out of a JSON value in one pass that builds nothing else.

use super::Number;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::borrow::Cow;
use std::fmt;

/// What was found at a field.
#[derive(Debug, Clone, PartialEq)]
pub enum Found<'r> {
    Text(Cow<'r, str>),
    Number(Number),
    Bool(bool),
    Null,
    /// An object or a list: it is there, and equal to no literal.
    Composite,
}

/// The named fields as a tree of steps.
#[derive(Debug)]
pub struct Paths {
    /// The first is the value itself.
    places: Vec<Place>,
    count: usize,
}

#[derive(Debug, Default)]
struct Place {
    /// The number of the field that ends here.
    field: Option<usize>,
    below: Vec<(Box<str>, usize)>,
}

impl Default for Paths {
    fn default() -> Paths {
        Paths { places: vec![Place::default()], count: 0 }
    }
}

impl Paths {
    /// The number of a field, the same for the same steps.
    pub fn add(&mut self, steps: &[Box<str>]) -> usize {
        let mut at = 0;
        for step in steps {
            let known = self.places[at].below.iter().find(|(name, _)| name == step);
            at = match known {
                Some(&(_, place)) => place,
                None => {
                    self.places.push(Place::default());
                    let place = self.places.len() - 1;
                    self.places[at].below.push((step.clone(), place));
                    place
                }
            };
        }
        let next = self.count;
        let field = *self.places[at].field.get_or_insert(next);
        self.count += usize::from(field == next);
        field
    }

    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The fields by their number. A value that is not JSON has none.
    pub fn find<'r>(&self, value: &'r [u8]) -> Vec<Option<Found<'r>>> {
        let mut found = vec![None; self.count];
        let mut reader = serde_json::Deserializer::from_slice(value);
        let seed = Look { paths: self, at: 0, found: &mut found };
        if seed.deserialize(&mut reader).and_then(|()| reader.end()).is_err() {
            found.fill(None);
        }
        found
    }
}

/// Looks at the value at one place of the tree.
struct Look<'p, 'f, 'r> {
    paths: &'p Paths,
    at: usize,
    found: &'f mut Vec<Option<Found<'r>>>,
}

impl<'r> Look<'_, '_, 'r> {
    fn place(&self) -> Option<&Place> {
        self.paths.places.get(self.at)
    }

    fn keep(self, what: Found<'r>) {
        let field = self.place().and_then(|place| place.field);
        if let Some(slot) = field.and_then(|field| self.found.get_mut(field)) {
            *slot = Some(what);
        }
    }

    fn below(&self, step: &str) -> Option<usize> {
        let below = &self.place()?.below;
        below.iter().find(|(name, _)| &**name == step).map(|&(_, place)| place)
    }

    /// Of a member that comes twice the last one counts, with all that is below it.
    fn forget(&mut self, at: usize) {
        let mut open = vec![at];
        while let Some(place) = open.pop().and_then(|at| self.paths.places.get(at)) {
            if let Some(slot) = place.field.and_then(|field| self.found.get_mut(field)) {
                *slot = None;
            }
            open.extend(place.below.iter().map(|&(_, below)| below));
        }
    }
}

impl<'r> DeserializeSeed<'r> for Look<'_, '_, 'r> {
    type Value = ();
    fn deserialize<D: Deserializer<'r>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_any(self)
    }
}

impl<'r> Visitor<'r> for Look<'_, '_, 'r> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<(), E> {
        self.keep(Found::Bool(value));
        Ok(())
    }

    fn visit_i64<E>(self, value: i64) -> Result<(), E> {
        self.keep(Found::Number(Number::Whole(value.into())));
        Ok(())
    }

    fn visit_u64<E>(self, value: u64) -> Result<(), E> {
        self.keep(Found::Number(Number::Whole(value.into())));
        Ok(())
    }

    fn visit_f64<E>(self, value: f64) -> Result<(), E> {
        self.keep(Found::Number(Number::Real(value)));
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        self.keep(Found::Null);
        Ok(())
    }

    fn visit_str<E>(self, value: &str) -> Result<(), E> {
        self.keep(Found::Text(Cow::Owned(value.to_owned())));
        Ok(())
    }

    fn visit_borrowed_str<E>(self, value: &'r str) -> Result<(), E> {
        self.keep(Found::Text(Cow::Borrowed(value)));
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'r>>(self, mut items: A) -> Result<(), A::Error> {
        if self.place().is_none_or(|place| place.below.is_empty()) {
            while items.next_element::<IgnoredAny>()?.is_some() {}
            self.keep(Found::Composite);
            return Ok(());
        }
        for index in 0usize.. {
            let more = match self.below(&index.to_string()) {
                Some(at) => {
                    let look = Look { paths: self.paths, at, found: &mut *self.found };
                    items.next_element_seed(look)?.is_some()
                }
                None => items.next_element::<IgnoredAny>()?.is_some(),
            };
            if !more {
                break;
            }
        }
        self.keep(Found::Composite);
        Ok(())
    }

    fn visit_map<A: MapAccess<'r>>(mut self, mut members: A) -> Result<(), A::Error> {
        while let Some(name) = members.next_key::<Name<'r>>()? {
            match self.below(&name.0) {
                Some(at) => {
                    self.forget(at);
                    let look = Look { paths: self.paths, at, found: &mut *self.found };
                    members.next_value_seed(look)?;
                }
                None => {
                    members.next_value::<IgnoredAny>()?;
                }
            }
        }
        self.keep(Found::Composite);
        Ok(())
    }
}

/// A member's name, borrowed where it holds no escape.
struct Name<'r>(Cow<'r, str>);

impl<'r> serde::Deserialize<'r> for Name<'r> {
    fn deserialize<D: Deserializer<'r>>(from: D) -> Result<Self, D::Error> {
        struct Read;
        impl<'r> Visitor<'r> for Read {
            type Value = Name<'r>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name")
            }
            fn visit_str<E>(self, name: &str) -> Result<Name<'r>, E> {
                Ok(Name(Cow::Owned(name.to_owned())))
            }
            fn visit_borrowed_str<E>(self, name: &'r str) -> Result<Name<'r>, E> {
                Ok(Name(Cow::Borrowed(name)))
            }
        }
        from.deserialize_str(Read)
    }
}

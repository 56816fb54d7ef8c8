//! Is this Avro's binary encoding of a value of that schema? Walks the bytes without building the
//! value and without recursion, so that no length or depth in the input can take memory or stack.

use super::Flaw;
use super::avro::{Avro, Id, Node};

/// Values that are still to come, of which all but one may belong to arrays and maps.
const PENDING_MAX: usize = 4_096;
/// Values in one datum, those without bytes (null, empty records) included: they cost time.
const VALUES_MAX: u64 = 16 << 20;

/// What is to be read next.
enum Step {
    One(Id),
    /// The fields of a record from this one on.
    Fields(Id, usize),
    /// So many more items of the block, then the next block.
    Items {
        of: Id,
        left: u64,
        is_map: bool,
    },
}

struct Bytes<'a> {
    rest: &'a [u8],
}

/// The whole input is one value of the schema.
pub fn check(schema: &Avro, input: &[u8]) -> Result<(), Flaw> {
    let mut bytes = Bytes { rest: input };
    let mut steps = vec![Step::One(schema.root())];
    let mut values = 0_u64;
    while let Some(step) = steps.pop() {
        if steps.len() > PENDING_MAX {
            return Err(flaw(schema, &steps, "it is nested too deeply"));
        }
        values += 1;
        if values > VALUES_MAX {
            return Err(flaw(schema, &steps, "it has too many parts"));
        }
        take(schema, &mut bytes, step, &mut steps)
            .map_err(|reason| flaw(schema, &steps, reason))?;
    }
    if bytes.rest.is_empty() {
        return Ok(());
    }
    Err(Flaw::new("", format!("{} bytes follow the value", bytes.rest.len())))
}

/// Where the walk stands, by the names of the records' fields.
fn flaw(schema: &Avro, steps: &[Step], reason: &str) -> Flaw {
    let mut path = String::new();
    for step in steps {
        if let Step::Fields(id, next) = step
            && let Node::Record { fields, .. } = schema.node(*id)
            && let Some(field) = next.checked_sub(1).and_then(|at| fields.get(at))
            && path.len() < 300
        {
            path.push('/');
            path.push_str(&field.name);
        }
    }
    Flaw::new(path, reason)
}

fn take(
    schema: &Avro,
    bytes: &mut Bytes<'_>,
    step: Step,
    steps: &mut Vec<Step>,
) -> Result<(), &'static str> {
    match step {
        Step::One(id) => take_one(schema, bytes, id, steps),
        Step::Fields(id, next) => {
            if let Node::Record { fields, .. } = schema.node(id)
                && let Some(field) = fields.get(next)
            {
                steps.push(Step::Fields(id, next + 1));
                steps.push(Step::One(field.of));
            }
            Ok(())
        }
        Step::Items { of, left: 0, is_map } => {
            let count = bytes.long()?;
            if count < 0 {
                // The block's size in bytes follows, for readers that skip it.
                bytes.length()?;
            }
            match count.unsigned_abs() {
                0 => {}
                left => steps.push(Step::Items { of, left, is_map }),
            }
            Ok(())
        }
        Step::Items { of, left, is_map } => {
            steps.push(Step::Items { of, left: left - 1, is_map });
            if is_map {
                bytes.text()?;
            }
            steps.push(Step::One(of));
            Ok(())
        }
    }
}

fn take_one(
    schema: &Avro,
    bytes: &mut Bytes<'_>,
    id: Id,
    steps: &mut Vec<Step>,
) -> Result<(), &'static str> {
    match schema.node(id) {
        Node::Null | Node::Open => Ok(()),
        Node::Boolean => match bytes.take(1)? {
            [0 | 1] => Ok(()),
            _ => Err("a boolean is neither 0 nor 1"),
        },
        Node::Int => match i32::try_from(bytes.long()?) {
            Ok(_) => Ok(()),
            Err(_) => Err("an int does not fit 32 bits"),
        },
        Node::Long => bytes.long().map(drop),
        Node::Float => bytes.take(4).map(drop),
        Node::Double => bytes.take(8).map(drop),
        Node::Bytes => bytes.block().map(drop),
        Node::String => bytes.text(),
        Node::Fixed { size, .. } => bytes.take(*size).map(drop),
        Node::Enum { symbols, .. } => match usize::try_from(bytes.long()?) {
            Ok(index) if index < symbols.len() => Ok(()),
            _ => Err("an enum has no symbol of this number"),
        },
        Node::Union(branches) => {
            let index = usize::try_from(bytes.long()?).ok();
            let branch = index.and_then(|index| branches.get(index));
            steps.push(Step::One(*branch.ok_or("a union has no branch of this number")?));
            Ok(())
        }
        Node::Record { .. } => {
            steps.push(Step::Fields(id, 0));
            Ok(())
        }
        Node::Array(of) => {
            steps.push(Step::Items { of: *of, left: 0, is_map: false });
            Ok(())
        }
        Node::Map(of) => {
            steps.push(Step::Items { of: *of, left: 0, is_map: true });
            Ok(())
        }
    }
}

impl<'a> Bytes<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], &'static str> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or("it is cut short")?;
        self.rest = rest;
        Ok(taken)
    }

    /// A zig-zag number of at most ten bytes.
    fn long(&mut self) -> Result<i64, &'static str> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let [byte] = self.take(1)? else { return Err("it is cut short") };
            let part = u64::from(byte & 0x7f);
            if shift == 63 && part > 1 {
                return Err("a number is longer than 64 bits");
            }
            value |= part << shift;
            if byte & 0x80 == 0 {
                return Ok((value >> 1).cast_signed() ^ -(value & 1).cast_signed());
            }
        }
        Err("a number is longer than 64 bits")
    }

    fn length(&mut self) -> Result<usize, &'static str> {
        usize::try_from(self.long()?).map_err(|_| "a length is negative")
    }

    fn block(&mut self) -> Result<&'a [u8], &'static str> {
        let length = self.length()?;
        self.take(length)
    }

    fn text(&mut self) -> Result<(), &'static str> {
        match std::str::from_utf8(self.block()?) {
            Ok(_) => Ok(()),
            Err(_) => Err("a string is not UTF-8"),
        }
    }
}

//! How much memory an event holds, near enough, without writing or allocating anything.
//!
//! It walks the event as a serializer would, so that a new member of the spec counts by itself. A
//! serializer of its own needs the length of a text alone; serde_json's reads each byte of it, so that
//! `send` takes a third longer, and four times as long where the text is in no cache.

use std::fmt;

use serde::ser::{self, Impossible, Serialize, Serializer};

use super::queue::{Entry, Job};
use crate::BeaconEvent;

/// The bytes of an event: its fixed part, its text, and an allowance for each JSON value and for each
/// object within its data. The slack of strings, arrays and the allocator is not in it.
///
/// There is no answer about values that are nested so deep that no service reads them. Whoever walks
/// down to their end may run out of stack, which ends the process.
pub(super) fn of(event: &BeaconEvent) -> Option<usize> {
    let mut weigher = Weigher { bytes: FIXED, depth: 0 };
    // Nothing else fails; what a value's own code may refuse is refused again when it is sent.
    let _ = event.serialize(&mut weigher);
    (weigher.depth <= DEEPEST).then_some(weigher.bytes)
}

struct Weigher {
    bytes: usize,
    /// How many values are around the present one; stays where it was too deep.
    depth: usize,
}

impl Weigher {
    fn text(&mut self, text: &str) -> Result<(), fmt::Error> {
        self.bytes += text.len();
        Ok(())
    }

    fn value(&mut self, value: &(impl Serialize + ?Sized)) -> Result<(), fmt::Error> {
        self.bytes += VALUE;
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(fmt::Error);
        }
        value.serialize(&mut *self)?;
        self.depth -= 1;
        Ok(())
    }
}

macro_rules! weightless {
    ($($method:ident: $kind:ty),*) => {
        $(fn $method(self, _: $kind) -> Result<(), fmt::Error> { Ok(()) })*
    };
}

impl Serializer for &mut Weigher {
    type Ok = ();
    type Error = fmt::Error;
    type SerializeSeq = Self;
    type SerializeTuple = Self;
    type SerializeTupleStruct = Impossible<(), fmt::Error>;
    type SerializeTupleVariant = Impossible<(), fmt::Error>;
    type SerializeMap = Self;
    type SerializeStruct = Self;
    type SerializeStructVariant = Impossible<(), fmt::Error>;

    weightless!(
        serialize_bool: bool, serialize_char: char, serialize_i8: i8, serialize_i16: i16,
        serialize_i32: i32, serialize_i64: i64, serialize_u8: u8, serialize_u16: u16,
        serialize_u32: u32, serialize_u64: u64, serialize_f32: f32, serialize_f64: f64,
        serialize_unit_struct: &'static str
    );

    fn serialize_str(self, text: &str) -> Result<(), fmt::Error> {
        self.text(text)
    }

    fn serialize_bytes(self, bytes: &[u8]) -> Result<(), fmt::Error> {
        self.bytes += bytes.len();
        Ok(())
    }

    fn serialize_none(self) -> Result<(), fmt::Error> {
        Ok(())
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), fmt::Error> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<(), fmt::Error> {
        Ok(())
    }

    fn serialize_unit_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
    ) -> Result<(), fmt::Error> {
        Ok(())
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<(), fmt::Error> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        value: &T,
    ) -> Result<(), fmt::Error> {
        value.serialize(self)
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Self, fmt::Error> {
        Ok(self)
    }

    fn serialize_tuple(self, _: usize) -> Result<Self, fmt::Error> {
        Ok(self)
    }

    fn serialize_tuple_struct(
        self,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleStruct, fmt::Error> {
        Err(fmt::Error)
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleVariant, fmt::Error> {
        Err(fmt::Error)
    }

    fn serialize_map(self, length: Option<usize>) -> Result<Self, fmt::Error> {
        // That of the data itself is one for each event.
        if self.depth > 0 && length != Some(0) {
            self.bytes += OBJECT;
        }
        Ok(self)
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Self, fmt::Error> {
        Ok(self)
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeStructVariant, fmt::Error> {
        Err(fmt::Error)
    }
}

impl ser::SerializeSeq for &mut Weigher {
    type Ok = ();
    type Error = fmt::Error;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), fmt::Error> {
        self.value(value)
    }

    fn end(self) -> Result<(), fmt::Error> {
        Ok(())
    }
}

impl ser::SerializeTuple for &mut Weigher {
    type Ok = ();
    type Error = fmt::Error;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), fmt::Error> {
        self.value(value)
    }

    fn end(self) -> Result<(), fmt::Error> {
        Ok(())
    }
}

impl ser::SerializeMap for &mut Weigher {
    type Ok = ();
    type Error = fmt::Error;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), fmt::Error> {
        key.serialize(&mut **self)
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), fmt::Error> {
        self.value(value)
    }

    fn end(self) -> Result<(), fmt::Error> {
        Ok(())
    }
}

impl ser::SerializeStruct for &mut Weigher {
    type Ok = ();
    type Error = fmt::Error;

    /// A field has its place in the fixed part.
    fn serialize_field<T: Serialize + ?Sized>(
        &mut self,
        _: &'static str,
        value: &T,
    ) -> Result<(), fmt::Error> {
        value.serialize(&mut **self)
    }

    fn end(self) -> Result<(), fmt::Error> {
        Ok(())
    }
}

/// An event without its text, and what the queue notes of it.
const FIXED: usize = size_of::<Entry>() + size_of::<Job>();
/// A value with the name before it, without their text.
const VALUE: usize = size_of::<String>() + size_of::<serde_json::Value>();
/// An object beyond its values: a node of its tree, which has room for eleven, however few there are.
const OBJECT: usize = 11 * VALUE;
/// How deep values are: as deep as a check lets them be, and one within the last of them.
const DEEPEST: usize = crate::check::DEEPEST + 1;

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn the_text_and_the_values_of_an_event_count() {
        let weight = |event: BeaconEvent| of(&event).unwrap();
        let plain = weight(BeaconEvent::new("a"));
        assert_eq!(plain, FIXED + 1);
        assert_eq!(weight(BeaconEvent::new("a").with_path("x".repeat(1000))), plain + 1000);
        let value = json!(["xx", { "y": 1 }, null, {}, { "z": 2 }]);
        let data = BeaconEvent::new("a").with_data("k", value);
        assert_eq!(weight(data), plain + 1 + VALUE + 5 * VALUE + 2 + 2 * (OBJECT + 1 + VALUE));
    }

    #[test]
    fn the_documented_sizes_are_those_that_count() {
        // Those of `BeaconOptions::with_memory`, and of the guide to scale.
        for (documented, counted) in [(250, FIXED), (60, VALUE), (600, OBJECT)] {
            assert!(counted.abs_diff(documented) <= documented / 10, "{documented}: {counted}");
        }
    }

    #[test]
    fn what_is_nested_deeper_than_anybody_reads_has_no_weight() {
        let nested = |depth| {
            let value = (0..depth).fold(json!(1), |value, _| Value::Array(vec![value]));
            BeaconEvent::new("a").with_data("k", value)
        };
        let read =
            |event| serde_json::from_slice::<BeaconEvent>(&serde_json::to_vec(&event).unwrap());
        for depth in 1..200 {
            assert_eq!(of(&nested(depth)).is_some(), read(nested(depth)).is_ok(), "{depth}");
        }
        assert_eq!(of(&nested(1_000)), None);
        let wide = BeaconEvent::new("a").with_data("k", vec![json!([1]); 1_000]);
        assert!(of(&wide).is_some(), "many values beside each other are not deep");
    }
}

//! How much memory an event holds, near enough, without writing or allocating anything.
//!
//! It walks the event as a serializer would, so that a new member of the spec counts by itself.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::Serializer;
use serde_json::ser::{CharEscape, Formatter};

use super::queue::{Entry, Job};
use crate::BeaconEvent;

/// The bytes of an event: its fixed part, its text, and an allowance for each JSON value. The
/// slack of strings, maps and the allocator is not in it.
pub(super) fn of(event: &BeaconEvent) -> usize {
    let mut weigher = Weigher { bytes: FIXED, depth: 0, in_name: false };
    // A sink takes everything; what cannot be JSON is refused when it is sent.
    let _ = event.serialize(&mut Serializer::with_formatter(io::sink(), &mut weigher));
    weigher.bytes
}

struct Weigher {
    bytes: usize,
    /// How many objects the place is in.
    depth: usize,
    in_name: bool,
}

impl Weigher {
    /// A member of the event has its place in the fixed part, with its name.
    fn is_member(&self) -> bool {
        self.depth == 1
    }
}

impl Formatter for &mut Weigher {
    fn begin_object<W: Write + ?Sized>(&mut self, _: &mut W) -> io::Result<()> {
        self.depth += 1;
        Ok(())
    }

    fn end_object<W: Write + ?Sized>(&mut self, _: &mut W) -> io::Result<()> {
        self.depth -= 1;
        Ok(())
    }

    fn begin_object_key<W: Write + ?Sized>(&mut self, _: &mut W, _: bool) -> io::Result<()> {
        self.in_name = true;
        if !self.is_member() {
            self.bytes += VALUE;
        }
        Ok(())
    }

    fn end_object_key<W: Write + ?Sized>(&mut self, _: &mut W) -> io::Result<()> {
        self.in_name = false;
        Ok(())
    }

    fn begin_array_value<W: Write + ?Sized>(&mut self, _: &mut W, _: bool) -> io::Result<()> {
        self.bytes += VALUE;
        Ok(())
    }

    fn write_string_fragment<W: Write + ?Sized>(
        &mut self,
        _: &mut W,
        text: &str,
    ) -> io::Result<()> {
        if !(self.in_name && self.is_member()) {
            self.bytes += text.len();
        }
        Ok(())
    }

    /// Escapes are of ASCII.
    fn write_char_escape<W: Write + ?Sized>(&mut self, _: &mut W, _: CharEscape) -> io::Result<()> {
        self.bytes += 1;
        Ok(())
    }
}

/// An event without its text, and what the queue notes of it.
const FIXED: usize = size_of::<Entry>() + size_of::<Job>();
/// A value with the name before it, without their text.
const VALUE: usize = size_of::<String>() + size_of::<serde_json::Value>();

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_text_and_the_values_of_an_event_count() {
        let plain = of(&BeaconEvent::new("a"));
        assert_eq!(plain, FIXED + 1);
        assert_eq!(of(&BeaconEvent::new("a").with_path("x".repeat(1000))), plain + 1000);
        let data = BeaconEvent::new("a").with_data("k", json!(["xx", { "y": 1 }, null]));
        assert_eq!(of(&data), plain + 1 + VALUE + 3 * VALUE + 2 + 1 + VALUE);
        assert_eq!(of(&BeaconEvent::new("a").with_path("/\"\n\u{1}é")), plain + 6);
    }
}

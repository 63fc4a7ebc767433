//! What the endpoint did with each event, in a file that outlives it.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process;

/// A file of keys, each with what became of it. The one who made it removes it in the end.
pub(crate) struct Ledger {
    path: PathBuf,
    file: File,
    owned: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    /// Taken, and answered so.
    Answered,
    /// Taken, and the answer did not arrive whole.
    Unanswered,
    /// Answered with a status that refuses it for good.
    Refused,
}

/// How many events each of these is true of, a key counting once.
#[derive(Debug, Default)]
pub(crate) struct Sums {
    /// They came at all.
    pub(crate) seen: u64,
    pub(crate) answered: u64,
    pub(crate) refused: u64,
    /// They were taken again although the answer to an earlier attempt was whole.
    pub(crate) again: u64,
    /// They were taken more than once.
    pub(crate) repeated: u64,
}

impl Ledger {
    pub(crate) fn new() -> Self {
        let name = format!("soak-{}.ledger", process::id());
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let _ = fs::remove_file(&path);
        let mut ledger = Self::open(path);
        ledger.owned = true;
        ledger
    }

    pub(crate) fn open(path: impl Into<PathBuf>) -> Self {
        let path = path.into();
        let file = OpenOptions::new().create(true).append(true).open(&path).expect("a file");
        Self { path, file, owned: false }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Notes a key. The note is with the system when this returns, whoever is killed then.
    pub(crate) fn note(&self, key: &str, entry: Entry) {
        let digits: String = key.chars().filter(|digit| *digit != '-').collect();
        let key = u128::from_str_radix(&digits, 16).expect("a UUID");
        let mut note = [entry as u8; NOTE];
        note[1..].copy_from_slice(&key.to_be_bytes());
        (&self.file).write_all(&note).expect("room for a note");
    }

    pub(crate) fn sums(&self) -> Sums {
        let notes = fs::read(&self.path).expect("the notes");
        assert_eq!(notes.len() % NOTE, 0, "a note is cut off");
        let mut events: HashMap<&[u8], [u32; 3]> = HashMap::with_capacity(notes.len() / NOTE);
        for note in notes.chunks_exact(NOTE) {
            events.entry(&note[1..]).or_default()[usize::from(note[0])] += 1;
        }
        let mut sums = Sums::default();
        for [answered, unanswered, refused] in events.into_values() {
            sums.seen += 1;
            sums.answered += u64::from(answered > 0);
            sums.refused += u64::from(refused > 0);
            sums.again += u64::from(answered > 1);
            sums.repeated += u64::from(answered + unanswered > 1);
        }
        sums
    }
}

impl Drop for Ledger {
    fn drop(&mut self) {
        if self.owned {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// The length of a note: what became of an event, and its key.
const NOTE: usize = 1 + 16;

//! Where policies come from: the starters, a text, or a file that may change.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use super::{LONGEST, STARTER_POLICIES};
use crate::engine::policy::PolicySet;

/// What a policy file has in it; nothing if it cannot be read.
pub(crate) type Content = Option<String>;

/// Where the policies of a sandbox come from.
#[derive(Clone, Debug, Default)]
pub(crate) enum PolicySource {
    #[default]
    Starters,
    Text(String),
    File(PathBuf),
}

impl PolicySource {
    /// Reads the policies, and tells the place of a mistake as `FILE:LINE:COLUMN`. Of a file it
    /// notes the content that it read.
    pub(crate) fn read(&self, content: &mut Content) -> io::Result<PolicySet> {
        match self {
            Self::Starters => parse("starters", STARTER_POLICIES),
            Self::Text(text) => parse("policies", text),
            Self::File(path) => {
                *content = None;
                let text = content.insert(text_of(path)?);
                parse(path.display(), text)
            }
        }
    }

    /// Reads the policies another time, unless they came through a pipe: it has nothing to say twice,
    /// and whoever opens it may wait for ever.
    pub(crate) fn read_again(&self, content: &mut Content) -> io::Result<PolicySet> {
        if let Some(path) = self.file()
            && path.metadata().is_ok_and(|metadata| !metadata.is_file())
        {
            let why = format!("{} is no file that can be read again", path.display());
            return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        }
        self.read(content)
    }

    pub(crate) fn file(&self) -> Option<&Path> {
        match self {
            Self::File(path) => Some(path),
            Self::Starters | Self::Text(_) => None,
        }
    }
}

/// Reads a policy file as a text, up to a little more than it may have.
pub(super) fn text_of(path: &Path) -> io::Result<String> {
    let read = || {
        let mut bytes = Vec::new();
        File::open(path)?.take(LONGEST as u64 + 1).read_to_end(&mut bytes)?;
        if bytes.len() > LONGEST {
            // It may be cut within a character; that it is too long is the mistake to tell.
            return Ok(String::from_utf8_lossy(&bytes).into_owned());
        }
        String::from_utf8(bytes).map_err(|_| io::Error::other("it is not encoded as UTF-8"))
    };
    read().map_err(|error: io::Error| {
        let why = format!("cannot read the policies in {}: {error}", path.display());
        io::Error::new(error.kind(), why)
    })
}

fn parse(name: impl std::fmt::Display, text: &str) -> io::Result<PolicySet> {
    PolicySet::parse(text)
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, format!("{name}:{error}")))
}

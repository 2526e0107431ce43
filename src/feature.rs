//! Parts that a build may leave out, and what a command says that needs one.

use crate::error::{Error, Kind};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Feature {
    Mysql,
    Archive,
}

impl Feature {
    /// The cargo feature.
    const fn name(self) -> &'static str {
        match self {
            Feature::Mysql => "mysql",
            Feature::Archive => "archive",
        }
    }

    const fn what(self) -> &'static str {
        match self {
            Feature::Mysql => "reading MySQL's own tables",
            Feature::Archive => "the archive of raw messages",
        }
    }
}

/// This build lacks it.
pub fn left_out(feature: Feature) -> Error {
    let message = format!("this build of bullion is without {}", feature.what());
    Error::new(Kind::Config, message).advise(format!(
        "`make demo` leaves the cargo feature `{}` out; `make build`, or `cargo build --release`, has it",
        feature.name()
    ))
}

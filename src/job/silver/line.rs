//! A column as it stands in a job file: `"source field" = "ClickHouse type"`, or a table with its options.

use super::{Column, Encoding, Mask, NullPolicy};

impl Column {
    /// The line of `[columns]` that declares it.
    pub fn line(&self) -> String {
        let kind = quoted(&self.kind.to_string());
        let rename = (self.name != self.source).then(|| format!(", name = {}", quoted(&self.name)));
        let from = (self.encoding != Encoding::Plain)
            .then(|| format!(", from = \"{}\"", self.encoding.as_str()));
        let null = (self.null == NullPolicy::Empty).then(|| ", null = \"empty\"".to_owned());
        let cast = self.cast.then(|| ", cast = true".to_owned());
        let mask = self.mask.as_ref().map(|mask| match mask {
            Mask::Hash(_) => ", mask = \"hash\"".to_owned(),
            Mask::Last(length) => format!(", mask = \"last {length}\""),
            Mask::Null => ", mask = \"null\"".to_owned(),
        });
        let more: String = [rename, from, cast, null, mask]
            .into_iter()
            .flatten()
            .collect();
        let declared = match more.is_empty() {
            true => kind,
            false => format!("{{ type = {kind}{more} }}"),
        };
        format!("{} = {declared}", bare(&self.source))
    }
}

pub(crate) fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}

/// A TOML key, quoted only where it must be.
pub(crate) fn bare(name: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if !name.is_empty() && name.chars().all(plain) {
        name.to_owned()
    } else {
        quoted(name)
    }
}

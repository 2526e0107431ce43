//! One setting at a time from text to a value; what is wrong with it is a fault with its origin.

use std::path::{Path, PathBuf};

use secrecy::SecretString;

use super::postgres::Postgres;
use super::settings::{Origin, Setting, Settings, environment_name};
use crate::fault::Faults;

pub(super) struct Reader<'a> {
    pub(super) settings: &'a Settings,
    pub(super) faults: &'a Faults,
}

impl Reader<'_> {
    pub(super) fn optional(&self, key: &str) -> Option<String> {
        let value = self.settings.get(key)?.value.clone();
        Some(value).filter(|value| !value.is_empty())
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.optional(key).is_some()
    }

    pub(super) fn text(&self, key: &str) -> String {
        self.optional(key).unwrap_or_default()
    }

    pub(super) fn secret(&self, key: &str) -> Option<SecretString> {
        self.optional(key).map(SecretString::from)
    }

    pub(super) fn fault(&self, setting: &Setting, message: String) {
        match &setting.origin {
            Origin::File { path, line } => self.faults.add(path, *line, message),
            origin => self.faults.add(Path::new(&origin.to_string()), 0, message),
        }
    }

    pub(super) fn parsed<T>(
        &self,
        key: &str,
        expected: &str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Option<T> {
        let setting = self.settings.get(key)?;
        let parsed = parse(&setting.value);
        if parsed.is_none() {
            let message = format!("`{key}` must be {expected}, not `{}`", setting.value);
            self.fault(setting, message);
        }
        parsed
    }

    pub(super) fn http_url(&self, key: &str) -> String {
        self.parsed(key, "an address such as http://host:8123", |text| {
            let url = reqwest::Url::parse(text).ok()?;
            let plain = url.password().is_none() && url.username().is_empty();
            (url.scheme().starts_with("http") && plain)
                .then(|| text.trim_end_matches('/').to_owned())
        })
        .unwrap_or_default()
    }

    pub(super) fn database(&self, key: &str, password: &str) -> Option<Postgres> {
        let (text, setting) = self.database_url(key, "postgres", password)?;
        match Postgres::new(&text, self.secret(password)) {
            Ok(postgres) => Some(postgres),
            Err(message) => {
                self.fault(setting, format!("`{key}`: {message}"));
                None
            }
        }
    }

    /// An address of this scheme; a password in it comes from the environment only.
    pub(super) fn database_url(
        &self,
        key: &str,
        scheme: &str,
        password: &str,
    ) -> Option<(String, &Setting)> {
        let setting = self.settings.get(key)?;
        let text = self.optional(key)?;
        let url = reqwest::Url::parse(&text).ok();
        if !url
            .as_ref()
            .is_some_and(|url| url.scheme().starts_with(scheme))
        {
            let message = format!("`{key}` must look like {scheme}://user@host/database");
            self.fault(setting, message);
        } else if url.is_some_and(|url| url.password().is_some())
            && matches!(setting.origin, Origin::File { .. })
        {
            let name = environment_name(password);
            let message = format!("`{key}` holds a password: give it by {name} or {name}_FILE");
            self.fault(setting, message);
        }
        Some((text, setting))
    }

    /// One word of a closed list, where it is given.
    pub(super) fn chosen<T: Copy>(
        &self,
        key: &str,
        all: &[T],
        word: impl Fn(T) -> &'static str,
    ) -> Option<T> {
        self.optional(key)?;
        let words: Vec<&str> = all.iter().map(|one| word(*one)).collect();
        self.parsed(key, &format!("one of {}", words.join(", ")), |text| {
            let mut all = all.iter().copied();
            all.find(|one| word(*one).eq_ignore_ascii_case(text))
        })
    }

    /// A file that exists, beside bullion.toml where the path is relative.
    pub(super) fn file(&self, key: &str, folder: &Path) -> Option<PathBuf> {
        let path = folder.join(self.optional(key)?);
        let setting = self.settings.get(key)?;
        if !path.is_file() {
            let message = format!("`{key}`: there is no file {}", path.display());
            self.fault(setting, message);
        }
        Some(path)
    }

    /// These cannot be set, where they are.
    pub(super) fn refuse(&self, keys: &[&str], message: &str) {
        for key in keys.iter().filter(|key| self.has(key)) {
            if let Some(setting) = self.settings.get(*key) {
                self.fault(setting, format!("`{key}` {message}"));
            }
        }
    }
}

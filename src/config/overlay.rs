//! What the file and the environment say, over what was known before: the environment wins over the file.

use std::collections::BTreeMap;
use std::path::Path;

use super::settings::{
    KAFKA_PROPERTIES, Origin, SETTINGS, Setting, Settings, environment_name, is_secret,
};
use crate::document::{Document, Entry, Section};
use crate::fault::{Faults, nearest, suggestion};

pub fn file(settings: &mut Settings, file: &Path, text: &str, faults: &Faults) {
    let document = Document::parse(file, text, faults);
    section_of(settings, file, "", &document.root(faults));
}

fn section_of(settings: &mut Settings, file: &Path, prefix: &str, section: &Section<'_>) {
    for (name, entry) in section.entries() {
        let key = format!("{prefix}{name}");
        match entry {
            Entry::Section(inner) => section_of(settings, file, &format!("{key}."), &inner),
            Entry::Text(text) => {
                let exists = SETTINGS.iter().any(|known| known.key == key);
                if !exists && !key.starts_with(KAFKA_PROPERTIES) {
                    let near = suggestion(&key, SETTINGS.iter().map(|known| known.key));
                    section.fault(text.line, format!("unknown setting `{key}`{near}"));
                } else if is_secret(&key) {
                    let name = environment_name(&key);
                    section.fault(
                        text.line,
                        format!("`{key}` is a secret: give it by {name} or {name}_FILE"),
                    );
                } else {
                    let origin = Origin::File {
                        path: file.to_owned(),
                        line: text.line,
                    };
                    let setting = Setting {
                        value: text.value,
                        origin,
                    };
                    settings.insert(key, setting);
                }
            }
        }
    }
}

/// `BULLION_KAFKA_PROPERTIES="a=b,c=d"` gives librdkafka properties; everything else has a variable of its own.
const PROPERTIES_VARIABLE: &str = "BULLION_KAFKA_PROPERTIES";

pub fn environment(
    settings: &mut Settings,
    environment: &BTreeMap<String, String>,
    faults: &Faults,
) {
    let place = Path::new("environment");
    for known in &SETTINGS {
        let name = environment_name(known.key);
        if let Some(value) = environment.get(&name) {
            let origin = Origin::Environment { name };
            let value = value.clone();
            settings.insert(known.key.to_owned(), Setting { value, origin });
            continue;
        }
        let name = format!("{name}_FILE");
        if let Some(path) = environment.get(&name).filter(|_| known.secret) {
            match std::fs::read_to_string(path) {
                Ok(text) => {
                    let origin = Origin::SecretFile {
                        name,
                        path: path.into(),
                    };
                    let value = text.trim_end_matches(['\r', '\n']).to_owned();
                    settings.insert(known.key.to_owned(), Setting { value, origin });
                }
                Err(error) => faults.add(place, 0, format!("{name}: cannot read {path}: {error}")),
            }
        }
    }
    for pair in environment
        .get(PROPERTIES_VARIABLE)
        .map_or("", String::as_str)
        .split(',')
        .filter(|pair| !pair.trim().is_empty())
    {
        match pair.split_once('=') {
            Some((name, value)) => {
                let origin = Origin::Environment {
                    name: PROPERTIES_VARIABLE.to_owned(),
                };
                let value = value.trim().to_owned();
                let key = format!("{KAFKA_PROPERTIES}{}", name.trim());
                settings.insert(key, Setting { value, origin });
            }
            None => faults.add(
                place,
                0,
                format!("{PROPERTIES_VARIABLE}: a property is written name=value"),
            ),
        }
    }
    misspelt(environment, faults);
}

/// A variable that is nearly one of ours would silently do nothing: say so.
fn misspelt(environment: &BTreeMap<String, String>, faults: &Faults) {
    let mut names: Vec<String> = vec![PROPERTIES_VARIABLE.to_owned()];
    for known in &SETTINGS {
        names.push(environment_name(known.key));
        if known.secret {
            names.push(format!("{}_FILE", environment_name(known.key)));
        }
    }
    for given in environment
        .keys()
        .filter(|name| name.starts_with("BULLION_"))
    {
        if names.contains(given) {
            continue;
        }
        let near = nearest(given, names.iter().map(String::as_str));
        if let Some(near) = near.filter(|near| strsim::damerau_levenshtein(near, given) <= 2) {
            let message = format!("unknown variable `{given}`, did you mean `{near}`?");
            faults.add(Path::new("environment"), 0, message);
        }
    }
}

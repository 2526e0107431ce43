//! Values whose type the user chooses: what a column may hold, or lies between.

use toml::de::DeValue;

use super::{Located, Section, line_of};

/// A value that is neither a list nor a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scalar {
    /// dates and times, too, as they are written
    Text(String),
    /// finite, in decimal digits
    Number(String),
    Boolean(bool),
}

impl Scalar {
    fn of(value: &DeValue<'_>) -> Option<Scalar> {
        match value {
            DeValue::String(text) => Some(Scalar::Text(text.to_string())),
            DeValue::Integer(digits) => i64::from_str_radix(digits.as_str(), digits.radix())
                .ok()
                .map(|number| Scalar::Number(number.to_string())),
            DeValue::Float(digits) => {
                let number: f64 = digits.as_str().parse().ok()?;
                number
                    .is_finite()
                    .then(|| Scalar::Number(number.to_string()))
            }
            DeValue::Boolean(value) => Some(Scalar::Boolean(*value)),
            DeValue::Datetime(time) => Some(Scalar::Text(time.to_string())),
            DeValue::Array(_) | DeValue::Table(_) => None,
        }
    }
}

impl Section<'_> {
    /// A text, number, truth or date.
    pub fn scalar(&self, key: &'static str) -> Option<Located<Scalar>> {
        let found = self.value(key)?;
        match Scalar::of(found.value) {
            Some(value) => Some(Located {
                value,
                line: found.line,
            }),
            None => self.wrong(key, &found, "a string, a number, true or false"),
        }
    }

    /// A list of them; absent is empty.
    pub fn scalars(&self, key: &'static str) -> Vec<Located<Scalar>> {
        let Some(found) = self.value(key) else {
            return Vec::new();
        };
        let DeValue::Array(items) = found.value else {
            return self.wrong(key, &found, "a list").unwrap_or_default();
        };
        let mut scalars = Vec::new();
        for item in items.iter() {
            let line = line_of(self.text, item.span().start);
            match Scalar::of(item.get_ref()) {
                Some(value) => scalars.push(Located { value, line }),
                None => {
                    let message = format!(
                        "`{}{key}` holds strings, numbers, true and false only",
                        self.path
                    );
                    self.fault(line, message);
                }
            }
        }
        scalars
    }
}

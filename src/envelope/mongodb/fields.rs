//! A document becomes the fields of a row: one per declared column, found by its name or its path.

use super::super::fate::{Reason, Reject};
use super::super::json::{Cursor, Step};
use super::spell::Spell;
use crate::job::{SilverJob, WHOLE_DOCUMENT};

#[derive(Debug)]
pub(super) struct Fields {
    columns: Vec<Field>,
    /// a column holds the whole document, so no field is lost that has no column
    whole: bool,
    ignored: Vec<Box<[u8]>>,
}

#[derive(Debug)]
struct Field {
    source: String,
    /// `address.city` is the field of this very name, or else the one inside of `address`
    path: Vec<Box<[u8]>>,
    /// `"name":`
    literal: Vec<u8>,
    spell: Spell,
    whole: bool,
    key: bool,
}

impl Fields {
    pub(super) fn new(job: &SilverJob) -> Fields {
        let field = |column: &crate::job::Column| {
            let mut literal = serde_json::Value::from(column.source.as_str()).to_string();
            literal.push(':');
            let key = job.key.contains(&column.source);
            Field {
                path: column
                    .source
                    .split('.')
                    .map(|name| name.as_bytes().into())
                    .collect(),
                literal: literal.into_bytes(),
                spell: Spell::of(column, key),
                whole: column.source == WHOLE_DOCUMENT,
                key,
                source: column.source.clone(),
            }
        };
        let columns: Vec<Field> = job.columns.iter().map(field).collect();
        Fields {
            whole: columns.iter().any(|field| field.whole),
            ignored: job
                .exclude
                .iter()
                .map(|name| name.as_bytes().into())
                .collect(),
            columns,
        }
    }

    /// Appends the row of a document in relaxed spelling; of its key columns alone where nothing else is needed.
    pub(super) fn row(
        &self,
        document: &[u8],
        key_only: bool,
        out: &mut Vec<u8>,
    ) -> Result<(), Reject> {
        let mut places: Vec<Option<Cursor<'_>>> = vec![None; self.columns.len()];
        let mut strangers = Vec::new();
        self.find(document, &mut places, &mut strangers)?;
        out.push(b'{');
        let mut first = true;
        for (field, place) in self.columns.iter().zip(places) {
            if key_only && !field.key {
                continue;
            }
            comma(&mut first, out);
            out.extend_from_slice(&field.literal);
            let written = match place {
                _ if field.whole => {
                    super::spell::quote(document, out);
                    Ok(())
                }
                Some(mut cursor) => field.spell.write(&mut cursor, out),
                None => {
                    out.extend_from_slice(b"null");
                    Ok(())
                }
            };
            written.map_err(|reason| Reject {
                reason,
                column: Some(field.source.clone()),
            })?;
        }
        // the decoder has the policy for fields without a column
        for stranger in strangers.iter().filter(|_| !key_only) {
            comma(&mut first, out);
            out.extend_from_slice(stranger);
        }
        out.push(b'}');
        Ok(())
    }

    /// Appends `{"_id":…}` of the Kafka key's text, itself in relaxed spelling.
    pub(super) fn key(&self, id: &[u8], out: &mut Vec<u8>) -> Result<(), Reject> {
        out.push(b'{');
        if let Some(field) = self.columns.iter().find(|field| field.key) {
            out.extend_from_slice(&field.literal);
            let written = field.spell.write(&mut Cursor::new(id), out);
            written.map_err(|reason| Reject {
                reason,
                column: Some(field.source.clone()),
            })?;
        }
        out.push(b'}');
        Ok(())
    }

    /// Where the columns' values stand, and every top-level member that no column asks for.
    fn find<'a>(
        &self,
        document: &'a [u8],
        places: &mut [Option<Cursor<'a>>],
        strangers: &mut Vec<&'a [u8]>,
    ) -> Step<()> {
        let mut cursor = Cursor::new(document);
        if !cursor.eat(b'{') {
            return Err(Reason::BadDocument);
        }
        let mut buffer = Vec::new();
        while !cursor.eat(b'}') {
            let start = cursor.at();
            let name = cursor.key()?.resolve(&mut buffer)?;
            let mut asked = self.ignored.iter().any(|ignored| **ignored == *name);
            for (field, place) in self.columns.iter().zip(places.iter_mut()) {
                if field.source.as_bytes() == name {
                    *place = Some(cursor);
                    asked = true;
                } else if let Some((first, rest @ [_, ..])) = field.path.split_first()
                    && **first == *name
                {
                    asked = true;
                    // a field of the very name comes first, wherever it stands
                    *place = place.or(inside(cursor, rest));
                }
            }
            cursor.skip()?;
            if !asked && !self.whole {
                strangers.push(cursor.since(start));
            }
            cursor.eat(b',');
        }
        Ok(())
    }
}

fn comma(first: &mut bool, out: &mut Vec<u8>) {
    if !std::mem::take(first) {
        out.push(b',');
    }
}

/// The value at `path` within the document at the cursor.
fn inside<'a>(mut cursor: Cursor<'a>, path: &[Box<[u8]>]) -> Option<Cursor<'a>> {
    let Some((first, rest)) = path.split_first() else {
        return Some(cursor);
    };
    let mut buffer = Vec::new();
    if !cursor.eat(b'{') {
        return None;
    }
    while !cursor.eat(b'}') {
        if cursor.key().ok()?.resolve(&mut buffer).ok()? == &**first {
            return inside(cursor, rest);
        }
        cursor.skip().ok()?;
        cursor.eat(b',');
    }
    None
}

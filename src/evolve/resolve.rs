//! The type of a field that the job does not know: told by the message's schema, else by the source database, else kept
//! as the text it came in.

use std::time::Duration;

use crate::catalog::{Mapped, Source, TableName, map};
use crate::column::Type;
use crate::config;
use crate::envelope::{Drift, SourceField};
use crate::error::{Error, Kind, Result};
use crate::job::{Encoding, SilverJob};

/// What a field of the source is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// never Nullable
    pub kind: Type,
    pub encoding: Encoding,
    /// in the words of the schema or of the database; empty where nothing tells
    pub spelled: String,
    /// whether something told, or the text is all that is known
    pub told: bool,
}

impl Resolved {
    /// What the embedded schema says.
    pub fn told_by(schema: &SourceField) -> Resolved {
        Resolved {
            kind: schema.kind.clone(),
            encoding: schema.encoding,
            spelled: schema.spelled.clone(),
            told: true,
        }
    }
}

/// A source database that takes longer is asked again.
const PATIENCE: Duration = Duration::from_secs(20);

/// Field → what the source database says of it; nothing where none is configured, or it has no such table.
#[derive(Default)]
pub struct Catalog(Option<Vec<(String, Resolved)>>);

impl Catalog {
    pub async fn look(
        postgres: &config::Postgres,
        job: &SilverJob,
        drift: &Drift,
    ) -> Result<Catalog> {
        if postgres.url.is_none() {
            return Ok(Catalog(None));
        }
        let Some(name) = table_of(job, drift) else {
            return Ok(Catalog(None));
        };
        let asked = async {
            let source = Source::connect(postgres).await?;
            source.table(&name).await
        };
        let table = match tokio::time::timeout(PATIENCE, asked).await {
            Ok(Ok(table)) => table,
            // not where this topic comes from
            Ok(Err(error)) if matches!(error.kind(), Kind::NotFound | Kind::Mismatch) => {
                tracing::warn!(job = job.name, %error, "the source database does not tell the type");
                return Ok(Catalog(None));
            }
            Ok(Err(error)) => return Err(error),
            Err(_) => {
                let message = "the source database did not answer";
                return Err(Error::new(Kind::Unreachable, message));
            }
        };
        let resolved = |column: &crate::catalog::Column| match map(&column.kind, false) {
            Mapped::To { kind, encoding, .. } => Some((
                column.name.clone(),
                Resolved {
                    // an Array column could not tell NULL from the empty array
                    encoding: match kind {
                        Type::Array(_) => Encoding::Json,
                        _ => encoding,
                    },
                    kind: match kind {
                        Type::Array(_) => Type::String,
                        kind => kind,
                    },
                    spelled: column.spelled.clone(),
                    told: true,
                },
            )),
            Mapped::LeftOut(_) => None,
        };
        Ok(Catalog(Some(
            table.columns.iter().filter_map(resolved).collect(),
        )))
    }

    pub fn field(&self, name: &str) -> Option<&Resolved> {
        let fields = self.0.as_ref()?;
        fields
            .iter()
            .find(|(field, _)| field == name)
            .map(|(_, resolved)| resolved)
    }
}

/// Where nothing tells a type, the value's own text is exact: a string as it is, anything else as its JSON.
pub fn as_text() -> Resolved {
    Resolved {
        kind: Type::String,
        encoding: Encoding::Json,
        spelled: String::new(),
        told: false,
    }
}

/// As the message says, else as the last words of the topic's name.
fn table_of(job: &SilverJob, drift: &Drift) -> Option<TableName> {
    if let (Some(schema), Some(table)) = (&drift.schema, &drift.table) {
        return Some(TableName {
            schema: schema.clone(),
            table: table.clone(),
        });
    }
    let mut words = job.topic.rsplitn(3, '.');
    let table = words.next()?.to_owned();
    let schema = words.next()?.to_owned();
    words.next().map(|_| TableName { schema, table })
}

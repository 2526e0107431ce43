//! What would make a connector fail, or harm its source, found in the source before anything is registered.

use std::time::Duration;

use super::{Declared, MARIADB, MYSQL};
use crate::catalog::{Identity, MysqlSource, Source, TableName, refused};
use crate::error::{Error, Kind, Result};

/// A connector of that name that was just deleted lets go of its slot within this.
const SLOT_RELEASE: Duration = Duration::from_secs(10);

/// Errors are what cannot work; what is given back can, but should be known.
pub async fn preflight(
    source: &Source,
    connector: &Declared,
    registered: bool,
) -> Result<Vec<String>> {
    let slot = connector.get("slot.name").unwrap_or_default();
    let publication = connector.get("publication.name").unwrap_or_default();
    let found = source.replication(slot, publication).await?;
    let place = &source.place;
    if found.wal_level != "logical" {
        return Err(known(format!(
            "{place}: wal_level is {}, not logical",
            found.wal_level
        )));
    }
    let mut warnings = Vec::new();
    let tables = tables(connector);
    match found.publication {
        None if connector.get("publication.autocreate.mode") == Some("disabled") => {
            let names: Vec<String> = tables.iter().map(TableName::to_string).collect();
            let message = format!("{place}: there is no publication {publication}");
            return Err(Error::new(Kind::NotFound, message).advise(format!(
                "`CREATE PUBLICATION {publication} FOR TABLE {};`",
                names.join(", ")
            )));
        }
        Some(published) if !registered => {
            let wanted = |table: &String| tables.iter().any(|name| name.to_string() == *table);
            let foreign: Vec<&String> = published
                .tables
                .iter()
                .filter(|table| !wanted(table))
                .collect();
            if published.all_tables || !foreign.is_empty() {
                let what = match published.all_tables {
                    true => "for all tables".to_owned(),
                    false => format!(
                        "with {}, which this connector would take out of it",
                        join(&foreign)
                    ),
                };
                return Err(known(format!(
                    "{place}: publication {publication} already exists, {what}"
                )));
            }
            warnings.push(format!(
                "{place}: publication {publication} already exists and is used as it is"
            ));
        }
        _ => {}
    }
    if found.slot.is_some()
        && !registered
        && let Some(held) = source.released_slot(slot, SLOT_RELEASE).await?
    {
        if held.active {
            return Err(known(format!(
                "{place}: replication slot {slot} is active: somebody reads it"
            )));
        }
        if held.database.as_deref() != Some(&source.database()) {
            return Err(known(format!(
                "{place}: replication slot {slot} already exists in another database"
            )));
        }
        warnings.push(format!(
            "{place}: slot {slot} already exists; changes since it was last read come first"
        ));
    }
    for name in &tables {
        let table = source.table(name).await?;
        if table.key.is_empty() && table.identity != Identity::Full {
            warnings.push(format!(
                "{place}: {name} has no primary key: once it is published, PostgreSQL refuses UPDATE and DELETE on it; \
first `ALTER TABLE {name} REPLICA IDENTITY FULL;`"
            ));
        }
    }
    Ok(warnings)
}

/// The same of MySQL and MariaDB: what is not in their log, whole, no connector can read.
pub async fn of_mysql(source: &mut MysqlSource, connector: &Declared) -> Result<()> {
    let log = source.binary_log().await?;
    let place = source.place.clone();
    let wrong = match &log {
        log if !log.is_on => Some((
            "writes no binary log".to_owned(),
            "start the server with `log_bin`, and a `server_id` of its own",
        )),
        log if !log.format.eq_ignore_ascii_case("ROW") => Some((
            format!("writes its binary log as {}, not as ROW", log.format),
            "`SET GLOBAL binlog_format = ROW`, and in the server's file",
        )),
        log if !log.row_image.eq_ignore_ascii_case("FULL") => Some((
            format!(
                "leaves columns out of its binary log: binlog_row_image is {}, not FULL",
                log.row_image
            ),
            "`SET GLOBAL binlog_row_image = FULL`, and in the server's file",
        )),
        _ => None,
    };
    if let Some((what, advice)) = wrong {
        return Err(Error::new(Kind::Mismatch, format!("{place} {what}")).advise(advice));
    }
    let declared_for = connector.get("connector.class") == Some(MARIADB);
    if log.is_mariadb != declared_for {
        let class = if log.is_mariadb { MARIADB } else { MYSQL };
        let message = format!("{place}: the connector's class is for another server");
        return Err(Error::new(Kind::Mismatch, message)
            .advise(format!("write `\"connector.class\": \"{class}\"`")));
    }
    for name in tables(connector) {
        source.table(&name).await?;
    }
    Ok(())
}

/// The names in `table.include.list` that are names and no patterns.
fn tables(connector: &Declared) -> Vec<TableName> {
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.');
    let list = connector.literal("table.include.list").unwrap_or_default();
    list.split(',')
        .map(str::trim)
        .filter(|entry| entry.matches('.').count() == 1 && entry.chars().all(plain))
        .map(TableName::parse)
        .collect()
}

fn join(names: &[&String]) -> String {
    names
        .iter()
        .map(|name| name.as_str())
        .collect::<Vec<_>>()
        .join(", ")
}

/// An error whose text is one of those that come with a command.
fn known(message: String) -> Error {
    match refused(&message) {
        Some((kind, advice)) => Error::new(kind, message).advise(advice),
        None => Error::new(Kind::Mismatch, message),
    }
}

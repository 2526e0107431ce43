//! The tables that `bullion resync` has beside a silver table: which of them is being built, and which was swapped out and
//! still has rows that belong into the one in its place.
//!
//! A table is built under the holder's fencing token, in its name and in its comment. The comment stays with the table when
//! the names are exchanged, and is never written again: the table with the higher token is the newer one, whatever it is called.
//!
//! | file | what it holds |
//! |---|---|
//! | `mark` | what the comment says, and which rows of the old table belong into the new one |

mod mark;

use std::sync::{Arc, Mutex, PoisonError};

use clickhouse::Row;
use serde::Deserialize;

use super::clickhouse::{ClickHouse, literal, quote};
use crate::error::Result;
use crate::migrate::silver::qualified;
pub(crate) use mark::{Mark, WRITTEN};

/// A silver table, and what is beside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Shadows {
    /// who built the table that readers see; nothing where no resync did
    built: Option<u64>,
    pub(crate) mark: Option<Mark>,
    beside: Vec<Shadow>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Shadow {
    pub(crate) name: String,
    /// who has it
    pub(crate) holder: u64,
    built: Option<u64>,
}

#[derive(Row, Deserialize)]
struct Found {
    name: String,
    comment: String,
}

/// `orders_versions_shadow_7`
pub(crate) fn shadow_name(table: &str, token: u64) -> String {
    format!("{}{token}", prefix(table))
}

fn prefix(table: &str) -> String {
    format!("{table}_shadow_")
}

/// `7` and `7_0`, which the holder of token 7 took over.
fn holder(rest: &str) -> Option<u64> {
    let numbers: Option<Vec<u64>> = rest.split('_').map(|part| part.parse().ok()).collect();
    numbers?.first().copied()
}

impl Shadows {
    pub(crate) async fn look(
        clickhouse: &ClickHouse,
        database: &str,
        table: &str,
    ) -> Result<Shadows> {
        let sql = format!(
            "SELECT name, comment FROM system.tables WHERE database = {} AND (name = {} OR startsWith(name, {})) ORDER BY name",
            literal(database),
            literal(table),
            literal(&prefix(table))
        );
        let found = clickhouse.all::<Found>(&sql).await?;
        Ok(Shadows::of(table, &found))
    }

    fn of(table: &str, found: &[Found]) -> Shadows {
        let live = found.iter().find(|found| found.name == table);
        let live = live.and_then(|live| Mark::parse(&live.comment));
        let (built, mark) = live.unzip();
        let shadow = |found: &Found| {
            let rest = found.name.strip_prefix(&prefix(table))?;
            Some(Shadow {
                name: found.name.clone(),
                holder: holder(rest)?,
                built: Mark::parse(&found.comment).map(|(token, _)| token),
            })
        };
        Shadows {
            built,
            mark,
            beside: found.iter().filter_map(shadow).collect(),
        }
    }

    /// Was in the place of the table that readers see.
    pub(crate) fn swapped_out(&self) -> impl Iterator<Item = &Shadow> {
        self.beside.iter().filter(|shadow| self.is_older(shadow))
    }

    /// Was never read by anybody.
    pub(crate) fn unswapped(&self) -> impl Iterator<Item = &Shadow> {
        self.beside.iter().filter(|shadow| !self.is_older(shadow))
    }

    /// What says nothing of itself is never taken for unread.
    fn is_older(&self, shadow: &Shadow) -> bool {
        shadow.built <= self.built
    }

    pub(crate) fn beside(&self) -> &[Shadow] {
        &self.beside
    }

    /// 0 where nobody was here.
    pub(crate) fn highest_token(&self) -> u64 {
        let beside = self.beside.iter();
        let tokens = beside.flat_map(|shadow| [Some(shadow.holder), shadow.built]);
        tokens
            .chain([self.built])
            .flatten()
            .max()
            .unwrap_or_default()
    }
}

/// A silver table that a resync may replace at any moment.
#[derive(Clone)]
pub(crate) struct Watched {
    clickhouse: ClickHouse,
    database: String,
    table: String,
    /// what was seen last, by whomever
    seen: Arc<Mutex<Option<Shadows>>>,
}

impl Watched {
    pub(crate) fn new(clickhouse: &ClickHouse, database: &str, table: &str) -> Watched {
        Watched {
            clickhouse: clickhouse.clone(),
            database: database.to_owned(),
            table: table.to_owned(),
            seen: Arc::default(),
        }
    }

    pub(crate) fn seen(&self) -> Option<Shadows> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.clone()
    }

    pub(crate) async fn look(&self) -> Result<Shadows> {
        let shadows = Shadows::look(&self.clickhouse, &self.database, &self.table).await?;
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        *seen = Some(shadows.clone());
        Ok(shadows)
    }

    /// What of a table that was swapped out belongs into the one in its place, with these columns: quoted name and type, which
    /// the old one may lack by now.
    pub(crate) async fn rest_of(
        &self,
        old: &Shadow,
        mark: Option<&Mark>,
        columns: &[(String, String)],
    ) -> Result<String> {
        let sql = format!(
            "SELECT name FROM system.columns WHERE database = {} AND table = {}",
            literal(&self.database),
            literal(&old.name)
        );
        let has = self.clickhouse.all::<String>(&sql).await?;
        let lacking = columns.iter().filter(|(name, _)| !has.contains(name));
        let lacking = lacking.map(|(name, kind)| {
            format!(
                ", defaultValueOfTypeName({}) AS {}",
                literal(kind),
                quote(name)
            )
        });
        let rows = mark.map_or_else(|| "1".to_owned(), Mark::carried);
        Ok(format!(
            "(SELECT *{} FROM {} WHERE {rows})",
            lacking.collect::<String>(),
            qualified(&self.database, &old.name)
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUILT_BY_5: &str = "bullion resync token=5 epoch=1 ends=0:10";
    const BUILT_BY_7: &str = "bullion resync token=7 epoch=1 ends=0:20";

    fn shadows(found: &[(&str, &str)]) -> Shadows {
        let found = found.iter().map(|(name, comment)| Found {
            name: (*name).to_owned(),
            comment: (*comment).to_owned(),
        });
        Shadows::of("t", &found.collect::<Vec<_>>())
    }

    #[test]
    fn the_comments_say_which_table_is_the_newer_one_whatever_they_are_called() {
        for (live, beside, comment, is_swapped_out) in [
            ("", "t_shadow_5", BUILT_BY_5, false),
            (BUILT_BY_5, "t_shadow_5", "", true),
            (BUILT_BY_5, "t_shadow_7", BUILT_BY_7, false),
            (BUILT_BY_7, "t_shadow_7", BUILT_BY_5, true),
            (BUILT_BY_7, "t_shadow_9_0", "somebody's note", true),
            // nobody knows what that is: it is not dropped
            ("", "t_shadow_5", "", true),
        ] {
            let found = shadows(&[("t", live), (beside, comment)]);
            let old: Vec<&str> = found.swapped_out().map(|s| s.name.as_str()).collect();
            let unread: Vec<&str> = found.unswapped().map(|s| s.name.as_str()).collect();
            let expected = match is_swapped_out {
                true => (vec![beside], vec![]),
                false => (vec![], vec![beside]),
            };
            assert_eq!((old, unread), expected, "{live} {beside} {comment}");
            assert_eq!(found.mark.is_some(), !live.is_empty());
        }
    }

    #[test]
    fn tokens_rise_above_all_that_was_ever_seen_and_other_tables_are_no_shadows() {
        assert_eq!(shadows(&[("t", "")]).highest_token(), 0);
        assert_eq!(shadows(&[("t", BUILT_BY_7)]).highest_token(), 7);
        let found = shadows(&[
            ("t", BUILT_BY_5),
            ("t_shadow_9_0", ""),
            ("t_shadow_10_versions", ""),
            ("t_shadow_old", ""),
        ]);
        assert_eq!((found.highest_token(), found.beside().len()), (9, 1));
    }
}

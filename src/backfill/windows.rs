//! Gold: which windows of a range are left to build. The building itself is gold's.

use crate::due::{self, Planned, Standing, Wish};
use crate::error::Result;
use crate::job::GoldJob;
use crate::ledger::{Known, Ledger};
use crate::window::Window;

/// A range split by what the ledger says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// oldest first
    pub to_build: Vec<Window>,
    /// built whole from the same SQL
    pub finished: Vec<Window>,
}

/// Asks the ledger about the windows of a range (oldest first); `rebuild` leaves none out.
pub async fn plan(
    ledger: &Ledger,
    job: &GoldJob,
    windows: &[Window],
    rebuild: bool,
) -> Result<Plan> {
    let known = match (windows.first(), windows.last()) {
        (Some(first), Some(last)) if !rebuild => ledger.known(first.from, last.to).await?,
        _ => Vec::new(),
    };
    Ok(split(windows, &known, &job.sql_hash))
}

fn split(windows: &[Window], known: &[Known], sql_hash: &str) -> Plan {
    let standing = Standing {
        known,
        dirty: &[],
        upstream: &[],
        sql_hash,
    };
    let (to_build, finished): (Vec<Planned>, Vec<Planned>) =
        due::sort(windows, standing, Wish::MISSING)
            .into_iter()
            .partition(|planned| planned.build);
    let windows = |planned: Vec<Planned>| planned.iter().map(|planned| planned.window).collect();
    Plan {
        to_build: windows(to_build),
        finished: windows(finished),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::{Contents, State};
    use crate::window::{Calendar, Grain};

    #[test]
    fn a_window_is_left_out_only_when_the_same_sql_built_it_whole() {
        let calendar = Calendar {
            grain: Grain::Day,
            zone: chrono_tz::UTC,
        };
        let first = calendar.window_at("2024-03-01T00:00:00Z".parse().unwrap());
        let windows: Vec<Window> =
            std::iter::successors(Some(first), |window| Some(calendar.after(*window)))
                .take(7)
                .collect();
        let known = |index: usize, state, hash: &str, whole| Known {
            window: windows[index],
            state,
            sql_hash: hash.to_owned(),
            staging: String::new(),
            contents: Contents::default(),
            input_at: 0,
            whole,
        };
        let ledger = [
            known(0, State::Done, "now", true),
            known(1, State::Unchanged, "now", true),
            known(2, State::Done, "older", true),
            known(3, State::Swapping, "now", true),
            known(4, State::Failed, "now", true),
            known(5, State::Done, "now", false),
        ];
        let plan = split(&windows, &ledger, "now");
        assert_eq!(plan.finished, windows[..2]);
        assert_eq!(plan.to_build, windows[2..]);
        assert_eq!(split(&windows, &[], "now").to_build, windows);
    }
}

//! A table that was replaced as a whole: every time that it has or had is touched.

use super::Touches;
use crate::error::{Context as _, Result};
use crate::migrate::times;

impl Touches {
    /// Notes where the rows of a table are, before or after readers see it. `table` is quoted.
    pub async fn enter_table(&self, table: &str) -> Result<()> {
        match &self.tracked {
            Some(tracked) if tracked.earlier.is_kept() => {
                let sql = times::fill(&tracked.times, table, &tracked.key, &tracked.time);
                let entered = self.clickhouse.execute(&sql).await;
                entered.context("note the times of all rows")
            }
            _ => Ok(()),
        }
    }

    /// Touches every time that these tables hold, after readers see the new one of them.
    pub async fn touch_tables(&self, tables: &[String]) -> Result<()> {
        let Some(tracked) = &self.tracked else {
            return Ok(());
        };
        for table in tables {
            let sql = times::touch(&self.ops, &self.job, &tracked.time, table);
            let touched = self.clickhouse.execute(&sql).await;
            touched.context("touch the times of all rows")?;
        }
        Ok(())
    }
}

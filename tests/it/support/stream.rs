//! One silver job over a topic of the test's own: what a test of ingest starts from.

use super::kafka::Topic;
use super::program::Ran;
use super::{Engine, PATIENCE, Project, wait_for};

pub struct Stream {
    pub topic: Topic,
    pub project: Project,
    pub group: String,
    pub engine: Engine,
    name: String,
}

impl Stream {
    pub async fn new(name: &str, partitions: i32) -> Stream {
        Stream::on(&Engine::of_stack(), name, partitions).await
    }

    pub async fn on(engine: &Engine, name: &str, partitions: i32) -> Stream {
        let topic = Topic::create(name, partitions).await;
        Stream::over(topic, engine, name).await
    }

    /// Over a topic that is there already; the project knows the stack's Kafka.
    pub async fn over(topic: Topic, engine: &Engine, name: &str) -> Stream {
        let stream = Stream {
            topic,
            project: Project::new(name, engine).await,
            group: format!("{name}-{}", std::process::id()),
            engine: engine.clone(),
            name: name.to_owned(),
        };
        stream.declare("notes", &stream.topic, "");
        stream.project.succeed(&["migrate"]);
        stream
    }

    /// Writes a job; `more` are further top-level lines of it.
    pub fn declare(&self, job: &str, topic: &Topic, more: &str) {
        let text = format!(
            "topic = \"{}\"\nkey = [\"id\"]\n{more}\n[columns]\nid = \"Int64\"\nnote = \"Nullable(String)\"\n",
            topic.name
        );
        self.project
            .write(&format!("jobs/silver/{job}.toml"), &text);
    }

    /// `bullion ingest --until-caught-up`, whatever its exit code.
    pub fn catch_up(&self) -> Ran {
        self.project
            .run(&["ingest", "--until-caught-up", "--output", "json"])
    }

    /// The same, which must succeed with this status.
    pub fn ends(&self, status: &str) -> Ran {
        let ended = self.catch_up();
        assert_eq!(ended.exit, 0, "{}", ended.text());
        assert_eq!(ended.json()["status"], status, "{}", ended.text());
        ended
    }

    /// `bullion ingest --until-caught-up` beside others of the group that stand still; what it says.
    pub fn gives_up(&self) -> String {
        let ended = self
            .project
            .run(&["ingest", "--until-caught-up", "--patience", "2s"]);
        assert_eq!(ended.exit, 75, "{}", ended.text());
        ended.text()
    }

    pub fn silver(&self, job: &str) -> String {
        format!("{}_silver.{job}", self.name)
    }

    pub async fn rows(&self) -> Vec<String> {
        let sql = format!("SELECT id, note FROM {} ORDER BY id", self.silver("notes"));
        self.engine.rows(&sql).await
    }

    pub async fn count(&self) -> u64 {
        self.count_of("notes").await
    }

    pub async fn count_of(&self, job: &str) -> u64 {
        let sql = format!("SELECT count() FROM {}", self.silver(job));
        self.engine.number(&sql).await
    }

    pub fn ops(&self, table: &str) -> String {
        format!("{}_ops.{table}", self.name)
    }

    /// What the group has committed, all partitions together.
    pub fn committed(&self) -> i64 {
        self.topic.committed(&self.group).iter().sum()
    }

    /// Waits until silver has so many rows and all of them are committed.
    pub async fn holds(&self, rows: i64) {
        let what = format!("{rows} rows and their commit");
        wait_for(&what, PATIENCE, || async {
            let all = self.count().await == u64::try_from(rows).unwrap();
            (all && self.committed() == rows).then_some(())
        })
        .await;
    }
}

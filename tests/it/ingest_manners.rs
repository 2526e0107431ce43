//! How a run of ingest speaks to whoever started it.

use crate::support::Project;
use crate::support::stream::Stream;

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_stdout_keeps_the_exit_code_and_json_is_the_last_line() {
    let stream = Stream::new("faults_stdout", 1).await;
    stream.topic.insert(0..10);
    for (arguments, exit) in [
        ("ingest --until-caught-up --output json", 0),
        ("ingest nothing --output json", 2),
        ("ingest --until-caught-up --peek 3 --output json", 2),
        ("--help", 0),
    ] {
        let arguments: Vec<&str> = arguments.split(' ').collect();
        let (code, stderr) = with_closed_stdout(&stream.project, &arguments);
        assert_eq!(code, exit, "{arguments:?}\n{stderr}");
        assert!(!stderr.contains("panicked"), "{stderr}");
        if arguments.contains(&"json") {
            let both = both_streams(&stream.project, &arguments);
            let last = both.lines().last().unwrap();
            let result: serde_json::Value = serde_json::from_str(last).unwrap();
            assert_eq!(result["status"] == "failed", exit != 0, "{both}");
        }
    }
}

fn with_closed_stdout(project: &Project, arguments: &[&str]) -> (i32, String) {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = project.command(arguments).stdout(writer).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code().unwrap_or(-1), stderr)
}

/// As Airflow reads them: merged.
fn both_streams(project: &Project, arguments: &[&str]) -> String {
    use std::io::Read as _;
    let (mut reader, writer) = std::io::pipe().unwrap();
    let mut command = project.command(arguments);
    command.stdout(writer.try_clone().unwrap()).stderr(writer);
    let mut child = command.spawn().unwrap();
    drop(command);
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    child.wait().unwrap();
    text
}

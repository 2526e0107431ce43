//! `bullion dlq show TOPIC/PARTITION/OFFSET`: one letter; what it holds may be personal data and is shown when asked for.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::{Context, Outcome, Result, tell, time};
use crate::error::{Error, Kind};
use crate::sink::clickhouse::ClickHouse;
use crate::sink::dead_letters::{self, Filter, Letter, Offsets, State};

#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  bullion dlq show shop.public.orders/0/1742            why, when, how large, which headers
  bullion dlq show shop.public.orders/0/1742 --values   and the message itself")]
pub struct Args {
    /// Where the message lies
    #[arg(value_name = "TOPIC/PARTITION/OFFSET", value_parser = coordinates)]
    place: (String, i32, i64),
    /// Show key, value and headers as well: they may be personal data
    #[arg(long)]
    values: bool,
}

pub async fn run(args: Args, context: Context) -> Result<Outcome> {
    let config = context.config()?;
    let (topic, partition, offset) = args.place;
    let filter = Filter {
        topics: vec![topic.clone()],
        partitions: vec![partition],
        offsets: Some(Offsets {
            from: Some(offset),
            to: Some(offset + 1),
        }),
        state: State::Any,
        ..Filter::default()
    };
    let clickhouse = ClickHouse::connect(&config.clickhouse).await?;
    let ops = &config.clickhouse.ops;
    let places = dead_letters::places(&clickhouse, ops, &filter, None).await?;
    let letters = dead_letters::letters(&clickhouse, ops, &places).await?;
    if letters.is_empty() {
        let message = format!(
            "there is no dead letter of topic {topic} partition {partition} offset {offset}"
        );
        return Err(
            Error::new(Kind::NotFound, message).advise("`bullion dlq list --each` lists them")
        );
    }
    // one for each epoch in which the topic had this offset
    let mut shown = Vec::new();
    for letter in &letters {
        let state = state(&clickhouse, ops, &filter, letter).await?;
        let letter = letter_json(letter, state, args.values);
        for (name, value) in &letter {
            let text = match value {
                Value::String(text) => escaped(text),
                other => escaped(&other.to_string()),
            };
            tell(&context, format!("{name:>12}  {text}"));
        }
        shown.push(Value::Object(letter));
    }
    Ok(Outcome::done("done").with("letters", shown))
}

async fn state(
    clickhouse: &ClickHouse,
    ops: &str,
    filter: &Filter,
    letter: &Letter,
) -> Result<&'static str> {
    for (state, word) in [
        (State::Resolved, "resolved"),
        (State::Discarded, "discarded"),
    ] {
        let filter = Filter {
            state,
            ..filter.clone()
        };
        let marked = dead_letters::places(clickhouse, ops, &filter, None).await?;
        if marked.iter().any(|place| place.version == letter.version) {
            return Ok(word);
        }
    }
    Ok("open")
}

fn letter_json(letter: &Letter, state: &str, values: bool) -> serde_json::Map<String, Value> {
    let length = |bytes: &Option<Vec<u8>>| bytes.as_ref().map(Vec::len);
    let mut shown = serde_json::Map::new();
    let mut put = |name: &str, value: Value| shown.insert(name.to_owned(), value);
    put("job", json!(letter.job));
    put("topic", json!(letter.topic));
    put("partition", json!(letter.partition));
    put("offset", json!(letter.offset));
    put("epoch", json!(letter.epoch()));
    put("state", json!(state));
    put("reason", json!(letter.reason));
    put("column", json!(letter.column));
    put("time", json!(time(letter.message_time)));
    put("key_bytes", json!(length(&letter.key)));
    put("value_bytes", json!(length(&letter.value)));
    if values {
        put("key", text(letter.key.as_deref()));
        put("value", text(letter.value.as_deref()));
        let headers = letter.headers.iter();
        let pairs = headers.map(|(name, value)| json!([name, text(value.as_deref())]));
        put("headers", pairs.collect());
    } else {
        let names = letter.headers.iter().map(|(name, _)| json!(name));
        put("headers", names.collect());
    }
    shown
}

/// Text as it is; other bytes as `{"base64": …}`.
fn text(bytes: Option<&[u8]>) -> Value {
    match bytes.map(|bytes| (std::str::from_utf8(bytes), bytes)) {
        None => Value::Null,
        Some((Ok(text), _)) => json!(text),
        Some((Err(_), bytes)) => json!({ "base64": STANDARD.encode(bytes) }),
    }
}

/// What somebody else wrote must not move the cursor of a terminal.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() {
            escaped.extend(character.escape_default());
        } else {
            escaped.push(character);
        }
    }
    escaped
}

fn coordinates(text: &str) -> Result<(String, i32, i64), String> {
    let mut parts = text.rsplitn(3, '/');
    let (offset, partition, topic) = (parts.next(), parts.next(), parts.next());
    let offset = offset
        .and_then(|text| text.parse().ok())
        .filter(|offset| *offset >= 0);
    let partition = partition.and_then(|text| text.parse().ok());
    match (topic, partition, offset) {
        (Some(topic), Some(partition), Some(offset)) if !topic.is_empty() => {
            Ok((topic.to_owned(), partition, offset))
        }
        _ => Err("write topic/partition/offset, such as shop.public.orders/0/1742".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn coordinates_are_topic_partition_and_offset() {
        assert_eq!(
            coordinates("shop.public.orders/0/1742"),
            Ok(("shop.public.orders".to_owned(), 0, 1742))
        );
        for wrong in [
            "orders",
            "orders/1",
            "orders/x/1",
            "orders/1/-1",
            "/1/1",
            "",
        ] {
            assert!(coordinates(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn foreign_text_does_not_reach_the_terminal_as_commands() {
        assert_eq!(escaped("a\u{1b}[2Jb\né"), "a\\u{1b}[2Jb\\né");
    }

    #[test]
    fn bytes_that_are_no_text_are_shown_in_base64() {
        assert_eq!(text(Some(b"caf\xe9")), json!({"base64": "Y2Fm6Q=="}));
        assert_eq!(text(Some("café".as_bytes())), json!("café"));
        assert_eq!(text(None), Value::Null);
    }
}

//! `[archive]`.

use std::path::Path;

use regex::Regex;

use super::Reader;
use crate::archive::{Bucket, Place, Settings};
use crate::document::{parse_bytes, parse_duration};

/// `None` where there is no archive, or where a fault was reported.
pub(super) fn archive(read: &Reader<'_>, folder: &Path) -> Option<Settings> {
    read.optional("archive.url")?;
    let place = read.parsed(
        "archive.url",
        "file:///folder or s3://bucket/prefix",
        |text| place(text, folder),
    );
    let topics = read.optional("archive.topics").and_then(|_| {
        read.parsed("archive.topics", "a regular expression", |text| {
            Regex::new(&format!("^(?:{text})$")).ok()
        })
    });
    let roll_after = read.parsed(
        "archive.roll_after",
        "a duration such as 5m",
        parse_duration,
    );
    let roll_bytes = read.parsed("archive.roll_bytes", "a size such as 32MiB", |text| {
        parse_bytes(text).filter(|bytes| *bytes > 0)
    });
    let mut place = place?;
    if let Place::S3(bucket) = &mut place {
        bucket.endpoint = read
            .optional("archive.endpoint")
            .map(|_| read.http_url("archive.endpoint"));
        bucket.region = read.text("archive.region");
        bucket.access_key = read.optional("archive.access_key");
        bucket.secret_key = read.secret("archive.secret_key");
    } else {
        read.refuse(
            &["archive.endpoint", "archive.access_key"],
            "is for s3:// addresses",
        );
    }
    Some(Settings {
        place,
        topics,
        roll_after: roll_after?,
        roll_bytes: roll_bytes?,
    })
}

/// A path without a scheme is beside bullion.toml.
fn place(text: &str, folder: &Path) -> Option<Place> {
    if let Some(path) = text.strip_prefix("file://") {
        return path.starts_with('/').then(|| Place::Folder(path.into()));
    }
    if let Some(rest) = text.strip_prefix("s3://") {
        let (name, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        return (!name.is_empty()).then(|| {
            Place::S3(Bucket {
                name: name.to_owned(),
                prefix: prefix.trim_matches('/').to_owned(),
                endpoint: None,
                region: String::new(),
                access_key: None,
                secret_key: None,
            })
        });
    }
    (!text.contains("://")).then(|| Place::Folder(folder.join(text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_a_folder_or_a_bucket() {
        let shown = |text| match place(text, Path::new("/project")) {
            Some(Place::Folder(path)) => path.display().to_string(),
            Some(Place::S3(bucket)) => format!("{} in {}", bucket.prefix, bucket.name),
            None => "refused".to_owned(),
        };
        for (text, expected) in [
            ("file:///var/archive", "/var/archive"),
            ("kept", "/project/kept"),
            ("s3://bucket/a/b/", "a/b in bucket"),
            ("s3://bucket", " in bucket"),
            ("s3:///prefix", "refused"),
            ("file://relative", "refused"),
            ("gs://bucket", "refused"),
        ] {
            assert_eq!(shown(text), expected, "{text}");
        }
    }
}

//! `--until-caught-up`: whether every partition has passed the end that its topic had at the start, and how long those
//! are waited for that other processes of the group read.

use std::time::{Duration, Instant};

use super::consume::Consuming;
use super::lane::Lane;
use crate::error::{Error, Kind};
use crate::source::{Member, Partition};

/// How often a process whose own partitions are done asks how far the rest of its group is.
const ASK_GROUP: Duration = Duration::from_millis(250);
/// How often it says what it waits for.
const SAY: Duration = Duration::from_secs(10);
/// What the question who reads a partition may take: the loop waits meanwhile.
const WHO: Duration = Duration::from_secs(1);
/// Partitions that are named; a topic may have hundreds.
const MOST_NAMED: usize = 5;

/// How far it is to the ends.
pub enum Way {
    /// there is more to read, or nobody asked for an end
    Open,
    CaughtUp,
    /// what others of the group have to read has not moved for as long as the patience lasts
    GivenUp(Error),
}

/// A partition that another process of the group has not brought to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Behind {
    partition: Partition,
    /// what the group has committed
    next: Option<i64>,
    end: i64,
}

/// What is known of the others.
pub struct Others {
    patience: Duration,
    behind: Vec<Behind>,
    asked: Instant,
    /// when `behind` was last seen to change
    moved: Instant,
    said: Instant,
}

impl Others {
    pub fn new(patience: Duration) -> Others {
        let now = Instant::now();
        Others {
            patience,
            behind: Vec::new(),
            asked: now,
            moved: now,
            said: now,
        }
    }

    fn stand(&mut self, behind: Vec<Behind>, now: Instant) {
        if behind != self.behind {
            (self.behind, self.moved) = (behind, now);
        }
    }
}

impl Consuming {
    /// Ours by what is durable, those of others in the group by what they have committed.
    pub(super) fn way_to_ends(&mut self) -> Way {
        let Some(mut others) = self.others.take() else {
            return Way::Open;
        };
        let way = self.way_beside(&mut others);
        self.others = Some(others);
        way
    }

    fn way_beside(&mut self, others: &mut Others) -> Way {
        let now = Instant::now();
        let ours = |lane: &Lane| lane.failed.is_some() || lane.has_reached_ends(|o| o.durable);
        let is_durable = self.lanes.iter().all(ours);
        let may_end = |lane: &Lane| ours(lane) || lane.only_waits();
        if !self.lanes.iter().all(may_end) {
            others.moved = now;
            return Way::Open;
        }
        if let Some(archiving) = &mut self.archiving {
            archiving.end_files(None);
            if !archiving.is_settled() {
                return Way::Open;
            }
        }
        let ends: Vec<(Partition, i64)> =
            self.lanes.iter().flat_map(Lane::ends_of_others).collect();
        if ends.is_empty() {
            let is_over = is_durable && (self.pace.joined || self.lanes.is_empty());
            return match is_over {
                true => Way::CaughtUp,
                false => Way::Open,
            };
        }
        if now.duration_since(others.asked) < ASK_GROUP {
            return Way::Open;
        }
        others.asked = now;
        match self.behind(ends) {
            // Kafka is waited for, here as elsewhere
            None => others.moved = now,
            Some(behind) if behind.is_empty() && is_durable => return Way::CaughtUp,
            // what our rows wait for is there
            Some(behind) if behind.is_empty() => others.moved = now,
            Some(behind) => others.stand(behind, now),
        }
        let stood = now.duration_since(others.moved);
        let over = stood >= others.patience;
        if over || now.duration_since(others.said) >= SAY {
            others.said = now;
            let what = self.describe(&others.behind);
            if over {
                return Way::GivenUp(stands_still(&self.group, others.patience, &what));
            }
            tracing::warn!(
                group = self.group,
                unmoved_s = stood.as_secs(),
                "waiting for others of the group: {what}"
            );
        }
        Way::Open
    }

    /// `None` where Kafka does not tell.
    fn behind(&self, ends: Vec<(Partition, i64)>) -> Option<Vec<Behind>> {
        let partitions: Vec<Partition> = ends
            .iter()
            .map(|(partition, _)| partition.clone())
            .collect();
        let committed = self.consumer.committed(&partitions).ok()?;
        let behind = ends.into_iter().map(|(partition, end)| {
            let found = committed.iter().find(|found| found.partition == partition);
            let next = found.and_then(|found| found.offset);
            Behind {
                partition,
                next,
                end,
            }
        });
        Some(behind.filter(|at| at.next < Some(at.end)).collect())
    }

    fn describe(&self, behind: &[Behind]) -> String {
        let members = self
            .consumer
            .members(&self.group, WHO)
            .unwrap_or_else(|error| {
                tracing::debug!(%error, "while looking who reads a partition");
                Vec::new()
            });
        let named = behind.iter().take(MOST_NAMED);
        let mut texts: Vec<String> = named.map(|at| described(at, &members)).collect();
        if behind.len() > MOST_NAMED {
            texts.push(format!("and {} more", behind.len() - MOST_NAMED));
        }
        texts.join("; ")
    }
}

fn described(behind: &Behind, members: &[Member]) -> String {
    let Behind {
        partition,
        next,
        end,
    } = behind;
    let at = next.map_or("no offset".to_owned(), |next| format!("offset {next}"));
    let its = members
        .iter()
        .find(|member| member.partitions.contains(partition));
    let whose = its.map_or(String::new(), |member| {
        format!(
            ", member {} on {}",
            member.id,
            member.host.trim_start_matches('/')
        )
    });
    format!("{partition} is at {at} of {end}{whose}")
}

fn stands_still(group: &str, patience: Duration, what: &str) -> Error {
    let message = format!(
        "others of group {group} have not moved for {} s: {what}",
        patience.as_secs()
    );
    Error::new(Kind::NotFresh, message).advise(
        "look at what that process says: it may have stopped a job, or be stopped itself; end it or mend it, and run the same command again",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn behind(number: i32, next: Option<i64>) -> Behind {
        Behind {
            partition: Partition {
                topic: "t".to_owned(),
                number,
            },
            next,
            end: 500,
        }
    }

    #[test]
    fn any_change_among_the_others_is_a_move() {
        let mut others = Others::new(Duration::from_secs(60));
        let begun = others.moved;
        let at = |seconds| begun + Duration::from_secs(seconds);
        for (second, now) in [
            (1, vec![behind(0, None), behind(1, Some(7))]),
            (2, vec![behind(0, Some(1)), behind(1, Some(7))]),
            (3, vec![behind(1, Some(7))]),
        ] {
            others.stand(now.clone(), at(second));
            others.stand(now, at(second + 1));
            assert_eq!(others.moved, at(second));
        }
    }

    #[test]
    fn whoever_reads_a_partition_is_named_with_its_host() {
        let members = [Member {
            id: "bullion-7".to_owned(),
            host: "/10.0.0.5".to_owned(),
            partitions: vec![behind(1, None).partition],
        }];
        assert_eq!(
            described(&behind(1, Some(120)), &members),
            "topic t partition 1 is at offset 120 of 500, member bullion-7 on 10.0.0.5"
        );
        assert_eq!(
            described(&behind(0, None), &members),
            "topic t partition 0 is at no offset of 500"
        );
    }
}

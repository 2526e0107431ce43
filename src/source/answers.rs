//! What librdkafka's codes mean: whose turn it is to act, and which of them pass by themselves.

use std::time::{Duration, Instant};

use rdkafka_sys as ffi;
use rdkafka_sys::RDKafkaErrorCode as Code;

use super::Consumer;
use crate::error::{Error, Kind, Result};

/// Pause before a question is asked again; doubles up to the longest. A leader is chosen in tens of milliseconds.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Asks until an answer stands or `patience` has passed. `ask` is told how long it may take.
pub(super) fn until_it_stands<T>(
    patience: Duration,
    mut ask: impl FnMut(Duration) -> Result<T, Code>,
) -> Result<T, Code> {
    let until = Instant::now() + patience;
    let mut pause = FIRST_PAUSE;
    loop {
        let answer = ask(until.saturating_duration_since(Instant::now()));
        match answer {
            Err(code) if passes(code) && Instant::now() + pause < until => {
                tracing::debug!(%code, "asking kafka again");
                std::thread::sleep(pause);
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
            answer => return answer,
        }
    }
}

/// Told while a topic is being made, or while a leader or a coordinator moves. Lost connections are not among them:
/// librdkafka itself waits for those, as long as it may.
pub(super) const fn passes(code: Code) -> bool {
    matches!(
        code,
        Code::LeaderNotAvailable
            | Code::NotLeaderForPartition
            | Code::ReplicaNotAvailable
            | Code::KafkaStorageError
            | Code::FencedLeaderEpoch
            | Code::UnknownLeaderEpoch
            | Code::OffsetNotAvailable
            | Code::CoordinatorLoadInProgress
            | Code::CoordinatorNotAvailable
            | Code::NotCoordinator
            | Code::WaitingForCoordinator
            | Code::UnstableOffsetCommit
            | Code::BrokerNotAvailable
            | Code::NetworkException
            | Code::RequestTimedOut
            | Code::OperationTimedOut
    )
}

/// librdkafka's "no error" is no error of ours.
pub(super) fn of(code: ffi::RDKafkaRespErr) -> Result<(), Code> {
    match code {
        ffi::RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR => Ok(()),
        code => Err(code.into()),
    }
}

impl Consumer {
    pub(super) fn checked(&self, code: ffi::RDKafkaRespErr, doing: &str) -> Result<()> {
        of(code).map_err(|code| self.explain(code, doing))
    }

    pub(super) fn owned_error(&self, error: *mut ffi::rd_kafka_error_t, doing: &str) -> Result<()> {
        if error.is_null() {
            return Ok(());
        }
        // SAFETY: a non-null error is ours to read and to free, once
        let code = unsafe {
            let code = ffi::rd_kafka_error_code(error);
            ffi::rd_kafka_error_destroy(error);
            code
        };
        self.checked(code, doing)
    }

    /// Sorts librdkafka's codes into kinds and names the brokers.
    pub fn explain(&self, code: Code, doing: &str) -> Error {
        let (kind, what) = match code {
            Code::Authentication
            | Code::SaslAuthenticationFailed
            | Code::TopicAuthorizationFailed
            | Code::GroupAuthorizationFailed
            | Code::ClusterAuthorizationFailed => (Kind::Denied, "kafka refused"),
            Code::UnknownTopic | Code::UnknownTopicOrPartition | Code::UnknownPartition => {
                (Kind::NotFound, "kafka has no such topic")
            }
            Code::OffsetOutOfRange | Code::AutoOffsetReset => (Kind::Gap, "offset is gone"),
            Code::BrokerTransportFailure
            | Code::AllBrokersDown
            | Code::Resolve
            | Code::OperationTimedOut => (Kind::Unreachable, "cannot reach kafka"),
            _ => (Kind::Busy, "kafka"),
        };
        let error = Error::new(kind, format!("{what} at {}: {doing}: {code}", self.brokers));
        match code {
            Code::TopicAuthorizationFailed => {
                error.advise("give kafka.user READ and DESCRIBE on the topic: docs/security.md has the command")
            }
            Code::GroupAuthorizationFailed => {
                error.advise("give kafka.user READ on the group of kafka.group: docs/security.md has the command")
            }
            _ => error,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOMENT: Duration = Duration::from_millis(200);

    #[test]
    fn what_stays_is_told_when_patience_is_over() {
        let mut asked = 0;
        let answer = until_it_stands(MOMENT, |_| {
            asked += 1;
            Err::<(), Code>(Code::NotLeaderForPartition)
        });
        assert_eq!(answer, Err(Code::NotLeaderForPartition));
        assert!(asked > 1);
    }

    #[test]
    fn what_stands_is_told_at_once() {
        let denied = Code::TopicAuthorizationFailed;
        let mut answers = [Ok(()), Err(denied), Err(Code::LeaderNotAvailable)].to_vec();
        let answer = until_it_stands(MOMENT, |_| answers.pop().unwrap_or(Ok(())));
        assert_eq!((answer, answers.len()), (Err(denied), 1));
    }
}

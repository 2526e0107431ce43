//! Whether any broker takes us in: librdkafka itself tries a wrong password or a foreign certificate again for ever.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rdkafka_sys as ffi;

use super::callbacks::Refusal;
use super::{ANSWER, Consumer};
use crate::config::Kafka;
use crate::error::{Error, Kind, Result};
use crate::tls;

/// How often it is looked whether a broker has answered or refused.
const SLICE: Duration = Duration::from_millis(100);
/// After the first refusal, or when none could be reached: another broker, or another address of its name, may take us.
const GRACE: Duration = Duration::from_millis(500);
/// In mid-run, after a refusal: librdkafka connects anew a few times in this.
const SECOND_THOUGHT: Duration = Duration::from_secs(5);

const TLS: tls::Settings = tls::Settings {
    address: "kafka.brokers",
    ca_file: "kafka.ca_file",
    certificate: Some("kafka.certificate_file and kafka.key_file"),
};

impl Consumer {
    /// A consumer that a broker has answered once.
    pub fn connect(config: &Kafka) -> Result<Consumer> {
        Consumer::new(config)?.welcomed(ANSWER)
    }

    /// The same for a question that can do without its answer: a Kafka that cannot be reached is not waited for.
    pub fn glancing(config: &Kafka, patience: Duration) -> Result<Consumer> {
        let consumer = Consumer::new(config)?;
        consumer.noted.glances.store(true, Ordering::Release);
        consumer.welcomed(patience)
    }

    fn welcomed(mut self, patience: Duration) -> Result<Consumer> {
        let until = Instant::now() + patience;
        let mut refused = None;
        let mut lost = None;
        while !self.knows_cluster(SLICE) {
            // callbacks are served; nothing is subscribed to yet, so there are no messages
            self.receive(Duration::ZERO);
            let refusal = self.noted.refusal().clone();
            if refusal.said.is_some() {
                let since = refused.get_or_insert_with(Instant::now);
                if since.elapsed() >= GRACE {
                    return Err(refusal.error(&self.brokers));
                }
            }
            let noted = &self.noted;
            if noted.glances.load(Ordering::Acquire) && noted.none_answers.load(Ordering::Acquire) {
                lost.get_or_insert_with(Instant::now);
            }
            let is_lost = lost.is_some_and(|since| since.elapsed() >= GRACE);
            if is_lost || Instant::now() >= until {
                let code = ffi::RDKafkaErrorCode::BrokerTransportFailure;
                return Err(self.explain(code, "read the cluster id"));
            }
        }
        Ok(self)
    }

    /// An error where a broker has refused us since the last call and no other one takes us.
    pub fn check_welcome(&self) -> Result<()> {
        let refusal = {
            let mut noted = self.noted.refusal();
            if noted.said.is_none() {
                return Ok(());
            }
            std::mem::take(&mut *noted)
        };
        let refused = refusal.error(&self.brokers);
        match self.any_broker(SECOND_THOUGHT) {
            Ok(_) => {
                tracing::warn!(error = %refused, next = refused.advice(), "a broker refuses us, others do not");
                Ok(())
            }
            Err(_) => Err(refused),
        }
    }
}

impl Refusal {
    fn error(&self, brokers: &str) -> Error {
        if let Some((distrust, broker)) = &self.distrust {
            return distrust.error(&format!("kafka at {broker}"), &TLS);
        }
        let said = self.said.as_deref().unwrap_or_default();
        let (what, advice) = reason(said);
        Error::new(
            Kind::Denied,
            format!("kafka at {brokers} refused us: {what}"),
        )
        .advise(advice)
    }
}

/// librdkafka's text in ours: it names properties that nobody here has set, and never a secret.
fn reason(said: &str) -> (String, String) {
    let lower = said.to_lowercase();
    let has = |words: &str| lower.contains(words);
    let (what, advice) = if has("handshake failed") && has("wrong version number") {
        (
            "it does not speak TLS on that port",
            "correct the port in kafka.brokers, or kafka.security",
        )
    } else if has("handshake failed") {
        (
            "the TLS handshake failed, it may ask for a certificate of ours",
            "set kafka.certificate_file and kafka.key_file, and see the broker's log",
        )
    } else if has("unsupported") && has("mechanism") {
        (
            "it does not know the SASL mechanism",
            "set kafka.mechanism to one that the listener has (sasl.enabled.mechanisms)",
        )
    } else if has("authentication") || has("credentials") {
        (
            "user or password is wrong",
            "check kafka.user, kafka.mechanism and BULLION_KAFKA_PASSWORD (or BULLION_KAFKA_PASSWORD_FILE)",
        )
    } else {
        ("", "check kafka.security and the port in kafka.brokers")
    };
    // what comes before the first colon after the address is librdkafka's; the rest is the broker's own word
    let said = said.split(" (after ").next().unwrap_or(said);
    let what = match what {
        "" => said.to_owned(),
        what => format!("{what} ({said})"),
    };
    (what, advice.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_librdkafka_says_is_answered_with_settings_of_ours() {
        let said = "sasl_ssl://h:1/bootstrap: SASL authentication error: Authentication failed during authentication due to \
            invalid credentials with SASL mechanism SCRAM-SHA-512 (after 301ms in state AUTH_REQ)";
        let refusal = Refusal {
            said: Some(said.to_owned()),
            distrust: None,
        };
        let error = refusal.error("h:1");
        assert!(
            error
                .to_string()
                .starts_with("kafka at h:1 refused us: user or password is wrong"),
            "{error}"
        );
        assert!(error.advice().contains("BULLION_KAFKA_PASSWORD"));
        assert_eq!(error.kind().policy().exit, 2);
    }
}

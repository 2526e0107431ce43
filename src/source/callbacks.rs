//! The consumer's configuration and what librdkafka calls back: it is noted here and answered by the flow.

use std::collections::VecDeque;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rdkafka_sys as ffi;

use super::partitions::{self, c_string};
use super::{Rebalance, properties};
use crate::config::Kafka;
use crate::error::{Error, Kind, Result};
use crate::tls::Distrust;

/// What the callbacks leave for the flow; librdkafka holds a pointer to it.
#[derive(Default)]
pub(super) struct Noted {
    pub(super) rebalances: Mutex<VecDeque<Rebalance>>,
    pub(super) closing: AtomicBool,
    pub(super) missed_topic: AtomicBool,
    /// no broker could be reached
    pub(super) none_answers: AtomicBool,
    /// it asks one question and waits for nothing, so nobody is told of waiting
    pub(super) glances: AtomicBool,
    pub(super) refusal: Mutex<Refusal>,
}

/// Why a broker and we do not trust each other. librdkafka tries again for ever; the flow asks whether any other broker
/// takes us.
#[derive(Clone, Debug, Default)]
pub(super) struct Refusal {
    /// what is wrong with a broker's certificate, and whose it is: OpenSSL's own text of the failed handshake does not say
    pub(super) distrust: Option<(Distrust, String)>,
    /// librdkafka's text, once the connection has failed for it
    pub(super) said: Option<String>,
}

impl Noted {
    pub(super) fn refusal(&self) -> MutexGuard<'_, Refusal> {
        self.refusal.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) fn configuration(config: &Kafka, noted: &Noted) -> Result<*mut ffi::rd_kafka_conf_t> {
    // SAFETY: a configuration can always be made; `rd_kafka_new` takes it over
    let conf = unsafe { ffi::rd_kafka_conf_new() };
    for (name, value) in properties::consumer(config) {
        let (c_name, c_value) = (c_string(&name)?, c_string(&value)?);
        let mut message = [0 as c_char; 512];
        // SAFETY: all pointers are alive, the texts are copied
        let answer = unsafe {
            ffi::rd_kafka_conf_set(
                conf,
                c_name.as_ptr(),
                c_value.as_ptr(),
                message.as_mut_ptr(),
                message.len(),
            )
        };
        if answer != ffi::RDKafkaConfRes::RD_KAFKA_CONF_OK {
            // SAFETY: the configuration was not handed over yet
            unsafe { ffi::rd_kafka_conf_destroy(conf) };
            // librdkafka's own text would repeat the value, which may be a secret
            return Err(Error::new(
                Kind::Config,
                format!("kafka property `{name}` is unknown or has a wrong value"),
            ));
        }
    }
    // SAFETY: `noted` is boxed and outlives the handle, which is destroyed in `Consumer::drop`
    unsafe {
        ffi::rd_kafka_conf_set_opaque(conf, std::ptr::from_ref(noted).cast_mut().cast::<c_void>());
        ffi::rd_kafka_conf_set_rebalance_cb(conf, Some(note_rebalance));
        ffi::rd_kafka_conf_set_error_cb(conf, Some(note_error));
        ffi::rd_kafka_conf_set_log_cb(conf, Some(log));
        ffi::rd_kafka_conf_set_ssl_cert_verify_cb(conf, Some(note_certificate));
    }
    Ok(conf)
}

unsafe extern "C" fn note_rebalance(
    handle: *mut ffi::rd_kafka_t,
    code: ffi::RDKafkaRespErr,
    partitions: *mut ffi::rd_kafka_topic_partition_list_t,
    opaque: *mut c_void,
) {
    // SAFETY: `opaque` is the consumer's boxed `Noted`, which outlives the handle
    let noted = unsafe { &*opaque.cast::<Noted>() };
    if noted.closing.load(Ordering::Acquire) {
        // SAFETY: called by librdkafka on a live handle; nobody is left to answer later
        unsafe { ffi::rd_kafka_assign(handle, std::ptr::null()) };
        return;
    }
    // SAFETY: librdkafka's list is valid during the callback
    let listed = unsafe { partitions::read(partitions) };
    let listed = listed
        .into_iter()
        .map(|positioned| positioned.partition)
        .collect();
    let rebalance = if code == ffi::RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS {
        Rebalance::Assigned(listed)
    // SAFETY: the handle is alive during its own callback
    } else if unsafe { ffi::rd_kafka_assignment_lost(handle) } != 0 {
        Rebalance::Lost(listed)
    } else {
        Rebalance::Revoked(listed)
    };
    let mut queue = noted
        .rebalances
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    queue.push_back(rebalance);
}

unsafe extern "C" fn note_error(
    _: *mut ffi::rd_kafka_t,
    code: c_int,
    reason: *const c_char,
    opaque: *mut c_void,
) {
    use ffi::RDKafkaRespErr as Code;
    // SAFETY: `opaque` is the consumer's boxed `Noted`, which outlives the handle
    let noted = unsafe { &*opaque.cast::<Noted>() };
    let missed = [
        Code::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART,
        Code::RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC,
        Code::RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION,
    ];
    if missed.iter().any(|missed| *missed as c_int == code) {
        // repeated every second; the flow looks whose topic it is, and says it once
        noted.missed_topic.store(true, Ordering::Release);
        return;
    }
    if Code::RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN as c_int == code {
        noted.none_answers.store(true, Ordering::Release);
    }
    if !reason.is_null() {
        // SAFETY: librdkafka passes a NUL-terminated text
        let reason = unsafe { CStr::from_ptr(reason) }.to_string_lossy();
        let refused = [
            Code::RD_KAFKA_RESP_ERR__SSL,
            Code::RD_KAFKA_RESP_ERR__AUTHENTICATION,
            Code::RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED,
        ];
        if refused.iter().any(|refused| *refused as c_int == code) {
            noted.refusal().said = Some(reason.into_owned());
            return;
        }
        if !noted.glances.load(Ordering::Acquire) {
            tracing::warn!(%reason, "kafka is not well, waiting for it");
        }
    }
}

/// OpenSSL's verdict stands; only its reason is kept.
unsafe extern "C" fn note_certificate(
    _: *mut ffi::rd_kafka_t,
    broker: *const c_char,
    _: i32,
    verdict: *mut c_int,
    _: c_int,
    _: *const c_char,
    _: usize,
    _: *mut c_char,
    _: usize,
    opaque: *mut c_void,
) -> c_int {
    // SAFETY: librdkafka passes a valid pointer
    let Some(distrust) = Distrust::of_openssl(unsafe { *verdict }) else {
        return 1;
    };
    // SAFETY: librdkafka passes a NUL-terminated name; `opaque` is the consumer's boxed `Noted`
    let (broker, noted) = unsafe { (CStr::from_ptr(broker), &*opaque.cast::<Noted>()) };
    noted.refusal().distrust = Some((distrust, broker.to_string_lossy().into_owned()));
    0
}

unsafe extern "C" fn log(
    _: *const ffi::rd_kafka_t,
    level: c_int,
    facility: *const c_char,
    text: *const c_char,
) {
    // syslog levels: 3 error, 4 warning; librdkafka repeats below what `note_error` says once
    if level > 3 || facility.is_null() || text.is_null() {
        return;
    }
    // SAFETY: librdkafka passes NUL-terminated texts
    let (facility, text) = unsafe { (CStr::from_ptr(facility), CStr::from_ptr(text)) };
    tracing::debug!(target: "librdkafka", "{}: {}", facility.to_string_lossy(), text.to_string_lossy());
}

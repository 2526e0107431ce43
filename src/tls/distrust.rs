//! Why a peer is not believed: one set of words for rustls and for OpenSSL, each with what to set.

use std::error::Error as StdError;

use rustls::{CertificateError, Error as TlsError};

use crate::error::{Error, Kind};

/// What speaks against the peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Distrust {
    /// nobody that we believe signed its certificate
    Issuer,
    /// the certificate is somebody else's: the names in it, where they are known
    Name(Vec<String>),
    Expired,
    NotYet,
    /// a CA's own certificate, which may sign others but serves nobody
    Authority,
    /// it does not speak TLS
    Plain,
    /// it would speak only to whoever shows a certificate, or not as we do
    Refused(String),
    Other(String),
}

/// What the operator sets, by the names of the settings.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    pub address: &'static str,
    pub ca_file: &'static str,
    /// where the certificate of our own is set, if it can be
    pub certificate: Option<&'static str>,
}

impl Distrust {
    /// Looks for a fault of TLS beneath an error.
    pub fn of(error: &(dyn StdError + 'static)) -> Option<Distrust> {
        let mut beneath = Some(error);
        while let Some(error) = beneath {
            if let Some(fault) = error.downcast_ref::<TlsError>() {
                return Distrust::of_rustls(fault);
            }
            // an `io::Error` passes over what it holds
            let held = error.downcast_ref::<std::io::Error>();
            beneath = match held.and_then(std::io::Error::get_ref) {
                Some(held) => Some(held as &(dyn StdError + 'static)),
                None => error.source(),
            };
        }
        None
    }

    fn of_rustls(fault: &TlsError) -> Option<Distrust> {
        Some(match fault {
            TlsError::InvalidCertificate(fault) => match fault {
                CertificateError::UnknownIssuer | CertificateError::BadSignature => {
                    Distrust::Issuer
                }
                CertificateError::NotValidForName => Distrust::Name(Vec::new()),
                CertificateError::NotValidForNameContext { presented, .. } => {
                    Distrust::Name(presented.iter().map(|name| bare(name)).collect())
                }
                CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                    Distrust::Expired
                }
                CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                    Distrust::NotYet
                }
                other if other.to_string().contains("CaUsedAsEndEntity") => Distrust::Authority,
                other => Distrust::Other(other.to_string()),
            },
            TlsError::InvalidMessage(_) => Distrust::Plain,
            TlsError::AlertReceived(alert) => Distrust::Refused(format!("{alert:?}")),
            // a connection that broke may be whole the next time
            _ => return None,
        })
    }

    /// OpenSSL's `X509_V_ERR_…`; 0 is no fault.
    pub fn of_openssl(code: i32) -> Option<Distrust> {
        Some(match code {
            0 => return None,
            9 => Distrust::NotYet,
            10 => Distrust::Expired,
            // unable to get issuer, signature failure, self-signed, in the chain too, unable to get local issuer, to
            // verify the leaf, chain too long, invalid CA
            2 | 7 | 18..=22 | 24 | 26 => Distrust::Issuer,
            // host name, e-mail, address
            62..=64 => Distrust::Name(Vec::new()),
            79 => Distrust::Authority,
            code => Distrust::Other(format!("OpenSSL's verification gives {code}")),
        })
    }

    /// A refusal that no second try helps.
    pub fn error(&self, server: &str, set: &Settings) -> Error {
        let Settings {
            address, ca_file, ..
        } = set;
        let (what, advice) = match self {
            Distrust::Issuer => (
                "nobody who is trusted here signed its certificate".to_owned(),
                format!("set {ca_file} to the PEM file of the CA that signed it"),
            ),
            Distrust::Name(names) => (
                match names.join(", ") {
                    names if names.is_empty() => "its certificate is for another name".to_owned(),
                    names => format!("its certificate is for {names}"),
                },
                format!(
                    "name the server in {address} as its certificate does, or give it one for this name"
                ),
            ),
            Distrust::Expired => (
                "its certificate has expired".to_owned(),
                "give the server a new certificate; if it has one, look at this machine's clock"
                    .to_owned(),
            ),
            Distrust::NotYet => (
                "its certificate is not valid yet".to_owned(),
                "look at this machine's clock".to_owned(),
            ),
            Distrust::Authority => (
                "its certificate is that of a CA, which cannot stand for a server".to_owned(),
                format!(
                    "give the server a certificate with CA:FALSE that this CA signed, and name the CA in {ca_file}"
                ),
            ),
            Distrust::Plain => (
                "it does not speak TLS on that port".to_owned(),
                format!("correct the port or the protocol in {address}"),
            ),
            Distrust::Refused(alert) => (
                format!("it refused our TLS ({alert})"),
                match set.certificate {
                    Some(setting) => format!("if it asks for a certificate, set {setting}"),
                    None => "see the server's log for its reason".to_owned(),
                },
            ),
            Distrust::Other(text) => (
                format!("its certificate is refused ({text})"),
                format!("look at the certificate, and at {ca_file}"),
            ),
        };
        let message = format!("TLS to {server} failed: {what}");
        Error::new(Kind::Denied, message).advise(advice)
    }
}

/// `DnsName("a.example")`, `IpAddress(10.0.0.1)`, as rustls shows them: what is in there.
fn bare(shown: &str) -> String {
    let inner = shown.split_once('(').map_or(shown, |(_, inner)| inner);
    inner.trim_end_matches(')').trim_matches('"').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SET: Settings = Settings {
        address: "clickhouse.url",
        ca_file: "clickhouse.ca_file",
        certificate: None,
    };

    #[test]
    fn a_fault_of_tls_is_found_beneath_other_errors() {
        let fault = TlsError::InvalidCertificate(CertificateError::UnknownIssuer);
        let beneath = std::io::Error::other(std::io::Error::other(fault));
        let found = Distrust::of(&beneath).expect("found");
        let error = found.error("clickhouse at https://h:8443", &SET);
        assert_eq!(
            error.to_string(),
            "TLS to clickhouse at https://h:8443 failed: nobody who is trusted here signed its certificate"
        );
        assert!(error.advice().contains("set clickhouse.ca_file"));
        assert_eq!(error.kind().policy().exit, 2);
        assert_eq!(Distrust::of(&std::io::Error::other("reset")), None);
    }

    #[test]
    fn openssl_and_rustls_say_the_same() {
        let expired = TlsError::InvalidCertificate(CertificateError::Expired);
        assert_eq!(Distrust::of(&expired), Distrust::of_openssl(10));
        assert_eq!(Distrust::of_openssl(62), Some(Distrust::Name(Vec::new())));
        assert_eq!(Distrust::of_openssl(19), Some(Distrust::Issuer));
        assert_eq!(Distrust::of_openssl(0), None);
    }
}

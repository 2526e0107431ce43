//! libpq's modes for rustls: without verification, without the name, or in full.

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error as TlsError, SignatureScheme,
};

use super::{builder, provider, roots};
use crate::config::{Mode, Roots, Tls};
use crate::error::{Error, Kind, Result};

pub fn client(tls: &Tls) -> Result<ClientConfig> {
    let verifier = match tls.mode {
        Mode::Disable | Mode::Prefer | Mode::Require => Verifier::Nothing,
        Mode::VerifyCa => Verifier::Issuer(by_roots(&tls.roots)?),
        Mode::VerifyFull => Verifier::All(by_roots(&tls.roots)?),
    };
    Ok(builder()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth())
}

fn by_roots(roots: &Roots) -> Result<Arc<WebPkiServerVerifier>> {
    let roots = match roots {
        Roots::System => roots::of_system(),
        Roots::File(file) => roots::of_file(file)?,
    };
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider());
    verifier.build().map_err(|error| {
        Error::new(
            Kind::Config,
            "there is no CA to verify PostgreSQL's certificate with",
        )
        .because(error)
        .advise("name its file: sslrootcert in postgres.url")
    })
}

#[derive(Debug)]
enum Verifier {
    /// whoever answers holds the key of the certificate that it shows, whosever that is
    Nothing,
    Issuer(Arc<WebPkiServerVerifier>),
    All(Arc<WebPkiServerVerifier>),
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, TlsError> {
        let verified = |by: &WebPkiServerVerifier| {
            by.verify_server_cert(certificate, between, name, ocsp, now)
        };
        match self {
            Verifier::Nothing => Ok(ServerCertVerified::assertion()),
            Verifier::All(by) => verified(by),
            // the name is looked at last, so all else is well
            Verifier::Issuer(by) => match verified(by) {
                Err(TlsError::InvalidCertificate(
                    CertificateError::NotValidForName
                    | CertificateError::NotValidForNameContext { .. },
                )) => Ok(ServerCertVerified::assertion()),
                verified => verified,
            },
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        let known = provider().signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, &known)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        let known = provider().signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, &known)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider()
            .signature_verification_algorithms
            .supported_schemes()
    }
}

//! Whose signatures are believed: the CAs of a PEM file, or the system's.

use std::path::Path;

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use crate::error::{Error, Kind, Result};

pub(super) fn of_file(file: &Path) -> Result<RootCertStore> {
    let refused = |what: &str| Error::new(Kind::Config, format!("{}: {what}", file.display()));
    let found = CertificateDer::pem_file_iter(file)
        .map_err(|error| refused("cannot be read as PEM").because(error))?;
    let mut roots = RootCertStore::empty();
    for certificate in found {
        let certificate =
            certificate.map_err(|error| refused("is not PEM to its end").because(error))?;
        roots
            .add(certificate)
            .map_err(|error| refused("holds a certificate that cannot be used").because(error))?;
    }
    if roots.is_empty() {
        return Err(refused("holds no certificate (BEGIN CERTIFICATE)"));
    }
    Ok(roots)
}

/// What the system has; a certificate in it that cannot be read is not one of ours to complain about.
pub(super) fn of_system() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    roots
}

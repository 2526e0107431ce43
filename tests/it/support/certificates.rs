//! Certificates of the test's own: an authority, and what it signs.

use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd,
};

pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: PathBuf,
    name: String,
}

/// A certificate and its key, each as PEM, and both in one file.
pub struct Issued {
    pub certificate: PathBuf,
    pub key: PathBuf,
    pub both: PathBuf,
}

impl Authority {
    pub fn new(folder: &Path, name: &str) -> Authority {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let authority = Authority {
            issuer,
            folder: folder.to_owned(),
            name: name.to_owned(),
        };
        std::fs::write(authority.file(), authority.issuer.pem()).unwrap();
        authority
    }

    /// What clients are told to believe.
    pub fn file(&self) -> PathBuf {
        self.folder.join(format!("{}.pem", self.name))
    }

    pub fn issue(&self, host: &str) -> Issued {
        self.issue_until(host, 2999)
    }

    pub fn issue_expired(&self, host: &str) -> Issued {
        self.issue_until(host, 2001)
    }

    fn issue_until(&self, host: &str, year: i32) -> Issued {
        let mut params = CertificateParams::new(vec![host.to_owned()]).unwrap();
        params.not_before = date_time_ymd(2000, 1, 1);
        params.not_after = date_time_ymd(year, 1, 1);
        params.distinguished_name.push(DnType::CommonName, host);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap().pem();
        let key = key.serialize_pem();
        let name = format!("{}-{host}-{year}", self.name);
        let write = |kind: &str, text: &str| {
            let path = self.folder.join(format!("{name}.{kind}.pem"));
            std::fs::write(&path, text).unwrap();
            path
        };
        Issued {
            both: write("both", &(key.clone() + &certificate)),
            certificate: write("certificate", &certificate),
            key: write("key", &key),
        }
    }
}

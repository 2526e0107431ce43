//! The address of a PostgreSQL, with TLS as libpq spells it: `?sslmode=verify-full&sslrootcert=ca.pem`.

use std::path::PathBuf;

use secrecy::SecretString;

#[derive(Clone, Debug)]
pub struct Postgres {
    /// without what `tls` holds
    pub url: Option<String>,
    pub tls: Tls,
    pub password: Option<SecretString>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tls {
    pub mode: Mode,
    pub roots: Roots,
}

/// libpq's `sslmode`. What does not verify hides the traffic from listeners only, as in libpq.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    Disable,
    /// TLS where the server has it; its certificate is not looked at
    #[default]
    Prefer,
    /// TLS or nothing; its certificate is looked at only where `sslrootcert` is given
    Require,
    /// the certificate is signed by one of the roots
    VerifyCa,
    /// … and holds the host's name
    VerifyFull,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Roots {
    #[default]
    System,
    File(PathBuf),
}

const MODES: [(&str, Mode); 5] = [
    ("disable", Mode::Disable),
    ("prefer", Mode::Prefer),
    ("require", Mode::Require),
    ("verify-ca", Mode::VerifyCa),
    ("verify-full", Mode::VerifyFull),
];

impl Postgres {
    /// What is wrong with the address, where it cannot be used.
    pub fn new(url: &str, password: Option<SecretString>) -> Result<Postgres, String> {
        let (url, tls) = part(url)?;
        Ok(Postgres {
            url: Some(url),
            tls,
            password,
        })
    }
}

/// Takes the two parameters out of the address: the driver knows only half of the modes.
fn part(url: &str) -> Result<(String, Tls), String> {
    let (address, query) = url.split_once('?').unwrap_or((url, ""));
    let mut tls = Tls::default();
    let mut rest = Vec::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let parsed = form_urlencoded::parse(pair.as_bytes()).next();
        let (name, value) = parsed.unwrap_or_default();
        match (name.as_ref(), value.as_ref()) {
            ("sslmode", word) => {
                let found = MODES.iter().find(|(known, _)| *known == word);
                let Some((_, mode)) = found else {
                    let words: Vec<&str> = MODES.iter().map(|(word, _)| *word).collect();
                    return Err(format!(
                        "sslmode is one of {}, not `{word}`",
                        words.join(", ")
                    ));
                };
                tls.mode = *mode;
            }
            ("sslrootcert", "system") => tls.roots = Roots::System,
            ("sslrootcert", path) => tls.roots = Roots::File(PathBuf::from(path)),
            ("sslcert" | "sslkey" | "sslcrl" | "sslpassword", _) => {
                return Err(format!(
                    "`{name}` is not supported: the password is how bullion says who it is"
                ));
            }
            _ => rest.push(pair),
        }
    }
    if tls.mode == Mode::Require && matches!(tls.roots, Roots::File(_)) {
        // as libpq does for the sake of old configurations
        tls.mode = Mode::VerifyCa;
    }
    let query = rest.join("&");
    let url = match query.as_str() {
        "" => address.to_owned(),
        query => format!("{address}?{query}"),
    };
    Ok((url, tls))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tls_is_parted_from_the_address_as_libpq_reads_it() {
        let file = || Roots::File(PathBuf::from("/a b/ca.pem"));
        for (query, left, mode, roots) in [
            ("", "", Mode::Prefer, Roots::System),
            ("?sslmode=disable", "", Mode::Disable, Roots::System),
            ("?sslmode=require", "", Mode::Require, Roots::System),
            (
                "?sslmode=require&sslrootcert=/a%20b/ca.pem",
                "",
                Mode::VerifyCa,
                file(),
            ),
            (
                "?options=-c%20x&sslmode=verify-full&sslrootcert=/a%20b/ca.pem&connect_timeout=3",
                "?options=-c%20x&connect_timeout=3",
                Mode::VerifyFull,
                file(),
            ),
            (
                "?sslrootcert=system&sslmode=verify-ca",
                "",
                Mode::VerifyCa,
                Roots::System,
            ),
        ] {
            let (url, tls) = part(&format!("postgres://u@h/d{query}")).unwrap();
            assert_eq!(url, format!("postgres://u@h/d{left}"), "{query}");
            assert_eq!(tls, Tls { mode, roots }, "{query}");
        }
        let error = part("postgres://u@h/d?sslmode=full").unwrap_err();
        assert!(error.contains("verify-full"), "{error}");
    }
}

use super::*;

fn environment(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    let owned = pairs
        .iter()
        .map(|(name, value)| (name.to_string(), value.to_string()));
    owned.collect()
}

fn load(text: &str, variables: &[(&str, &str)]) -> Result<Config> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("bullion.toml");
    std::fs::write(&file, text).unwrap();
    Config::load_from(Some(&file), &environment(variables))
}

fn origin_of(config: &Config, key: &str) -> String {
    let shown = config.shown().iter().find(|shown| shown.key == key);
    let shown = shown.unwrap();
    let origin = shown.origin.to_string();
    let file = origin.rsplit('/').next().unwrap();
    format!("{} from {file}", shown.value)
}

#[test]
fn the_environment_wins_over_the_file_and_the_file_over_the_default() {
    let config = load(
        "time_zone = 'Europe/Berlin'\n[kafka]\nbrokers = 'a:1'\ngroup = 'g'\n",
        &[("BULLION_KAFKA_BROKERS", "b:2")],
    )
    .unwrap();
    assert_eq!(config.kafka.brokers, "b:2");
    assert_eq!(config.time_zone, Tz::Europe__Berlin);
    assert_eq!(config.clickhouse.insert_timeout, INSERT_TIMEOUT);
    assert_eq!(
        origin_of(&config, "kafka.brokers"),
        "b:2 from environment BULLION_KAFKA_BROKERS"
    );
    assert_eq!(origin_of(&config, "kafka.group"), "g from bullion.toml:4");
    assert_eq!(
        origin_of(&config, "clickhouse.user"),
        "default from default"
    );
}

#[test]
fn librdkafka_properties_pass_through_unless_a_guarantee_rests_on_them() {
    let text = "[kafka.properties]\n'fetch.wait.max.ms' = 20\n";
    let config = load(
        text,
        &[("BULLION_KAFKA_PROPERTIES", "group.protocol=consumer")],
    )
    .unwrap();
    assert_eq!(config.kafka.properties["fetch.wait.max.ms"], "20");
    assert_eq!(config.kafka.properties["group.protocol"], "consumer");
    let text = "[kafka.properties]\n'enable.auto.commit' = true\n";
    let error = load(text, &[]).unwrap_err().to_string();
    assert!(error.contains("bullion.toml:2"), "{error}");
    assert!(
        error.contains("only after ClickHouse has the rows"),
        "{error}"
    );
}

#[test]
fn all_faults_come_together_with_their_lines() {
    let text = "memory_bugdet = '1GiB'\ntime_zone = 'Mars'\n[clickhouse]\npassword = 'hunter2'\n";
    let variables = [
        ("BULLION_KAFKA_BROKER", "x:1"),
        ("BULLION_LEASE_KIND", "zookeeper"),
    ];
    let error = load(text, &variables).unwrap_err();
    let text = error.to_string();
    for expected in [
        "5 faults",
        "bullion.toml:1: unknown setting `memory_bugdet`, did you mean `memory_budget`?",
        "bullion.toml:2: `time_zone` must be a zone",
        "bullion.toml:4: `clickhouse.password` is a secret: give it by BULLION_CLICKHOUSE_PASSWORD",
        "`BULLION_KAFKA_BROKER`, did you mean `BULLION_KAFKA_BROKERS`?",
        "`lease.kind` must be file or postgres, not `zookeeper`",
    ] {
        assert!(text.contains(expected), "{expected}\nnot in\n{text}");
    }
    assert!(!text.contains("hunter2"), "{text}");
}

#[test]
fn secrets_are_read_from_files_and_shown_masked() {
    let secret = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(secret.path(), "hunter2\n").unwrap();
    let path = secret.path().to_str().unwrap();
    let variables = [
        ("BULLION_CLICKHOUSE_PASSWORD_FILE", path),
        ("BULLION_POSTGRES_URL", "postgres://me:hunter3@db/shop"),
    ];
    let config = load("", &variables).unwrap();
    let password = config.clickhouse.password.as_ref().unwrap();
    assert_eq!(secrecy::ExposeSecret::expose_secret(password), "hunter2");
    let shown: String = config
        .shown()
        .iter()
        .map(|shown| shown.value.clone())
        .collect();
    assert!(!shown.contains("hunter"), "{shown}");
    assert!(!format!("{:?}", config.clickhouse).contains("hunter2"));
}

#[test]
fn a_missing_file_that_was_asked_for_is_named() {
    let error = Config::load_from(Some(Path::new("/nowhere/b.toml")), &environment(&[]));
    assert!(error.unwrap_err().to_string().contains("/nowhere/b.toml"));
}

#[test]
fn kafkas_security_is_said_once_and_whole() {
    let load = |text: &str| load(text, &[]).map(|config| config.kafka.security);
    let sasl = load("[kafka]\nsecurity = 'SASL_SSL'\nuser = 'u'\n").unwrap();
    assert_eq!(sasl.protocol, Some(Protocol::SaslSsl));
    let theirs = "[kafka]\nuser = 'u'\n[kafka.properties]\n'security.protocol' = 'sasl_ssl'\n";
    assert_eq!(load(theirs).unwrap().user.as_deref(), Some("u"));
    for (text, fault) in [
        (
            "security = 'tls'",
            "one of plaintext, ssl, sasl_plaintext, sasl_ssl",
        ),
        (
            "security = 'sasl_ssl'",
            "needs `kafka.user`, and BULLION_KAFKA_PASSWORD",
        ),
        (
            "user = 'u'",
            "`kafka.user` needs `kafka.security` = \"sasl_ssl\"",
        ),
        ("ca_file = 'nowhere.pem'", "there is no file"),
        ("security = 'ssl'\nuser = 'u'", "`kafka.user` needs"),
        ("password = 'p'", "BULLION_KAFKA_PASSWORD_FILE"),
        (
            "security = 'ssl'\n[kafka.properties]\n'security.protocol' = 'ssl'",
            "are the same: keep one",
        ),
    ] {
        let error = load(&format!("[kafka]\n{text}\n")).unwrap_err().to_string();
        assert!(error.contains(fault), "{text}: {error}");
    }
}

#[test]
fn an_address_of_postgres_is_read_with_its_modes_of_tls() {
    let text = "[postgres]\nurl = 'postgres://u@h/d?sslmode=verify-full&sslrootcert=ca.pem'\n";
    let postgres = load(text, &[]).unwrap().postgres;
    assert_eq!(postgres.url.as_deref(), Some("postgres://u@h/d"));
    assert_eq!(postgres.tls.mode, Mode::VerifyFull);
    let error = load("[postgres]\nurl = 'postgres://u@h/d?sslmode=on'\n", &[]).unwrap_err();
    assert!(error.to_string().contains("bullion.toml:2"), "{error}");
}

#[test]
fn a_file_that_is_not_there_is_told_how_to_do_without() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("absent.toml");
    let error = Config::load_from(Some(&file), &environment(&[])).unwrap_err();
    assert_eq!(error.kind(), Kind::Config);
    assert!(error.advice().contains("BULLION_CLICKHOUSE_URL"), "{error}");
    let error = Config::load_from(Some(folder.path()), &environment(&[])).unwrap_err();
    assert!(error.advice().contains("/bullion.toml"), "{error}");
}

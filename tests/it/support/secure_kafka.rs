//! A real Kafka of the test's own, with TLS, SCRAM and ACLs.
//!
//! | listener  | protocol               | who one is there                                     |
//! |-----------|------------------------|------------------------------------------------------|
//! | `plain`   | PLAINTEXT              | the administrator: the test itself                   |
//! | `tls`     | SSL                    | the administrator                                    |
//! | `expired` | SSL, by an old certificate | nobody comes so far                              |
//! | `sasl`    | SASL_SSL, SCRAM-SHA-512 | the user, who may do what the ACLs say and no more   |

use std::ffi::CString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::admin::AdminClient;
use rdkafka::client::DefaultClientContext;
use rdkafka_sys as ffi;

use super::certificates::Authority;
use super::program::Running;
use super::{PATIENCE, wait_for};

pub const USER: &str = "bullion_ingest";
pub const PASSWORD: &str = "of-the-reader";

pub struct SecureKafka {
    pub authority: Authority,
    plain: u16,
    tls: u16,
    sasl: u16,
    expired: u16,
    folder: tempfile::TempDir,
    _process: Running,
}

impl SecureKafka {
    pub async fn start() -> SecureKafka {
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::new(folder.path(), "authority");
        let [plain, tls, sasl, expired, controller] = free_ports();
        let path = |file: &Path| file.display().to_string();
        let good = path(&authority.issue("127.0.0.1").both);
        let old = path(&authority.issue_expired("127.0.0.1").both);
        let listeners = format!(
            "PLAIN://127.0.0.1:{plain},TLS://127.0.0.1:{tls},SASL://127.0.0.1:{sasl},EXPIRED://127.0.0.1:{expired}"
        );
        let properties = format!(
            "process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
controller.listener.names=CONTROLLER
listeners={listeners},CONTROLLER://127.0.0.1:{controller}
advertised.listeners={listeners}
inter.broker.listener.name=PLAIN
listener.security.protocol.map=PLAIN:PLAINTEXT,TLS:SSL,SASL:SASL_SSL,EXPIRED:SSL,CONTROLLER:PLAINTEXT
listener.name.tls.ssl.keystore.type=PEM
listener.name.tls.ssl.keystore.location={good}
listener.name.sasl.ssl.keystore.type=PEM
listener.name.sasl.ssl.keystore.location={good}
listener.name.expired.ssl.keystore.type=PEM
listener.name.expired.ssl.keystore.location={old}
listener.name.sasl.sasl.enabled.mechanisms=SCRAM-SHA-512
listener.name.sasl.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
listener.name.sasl.connections.max.reauth.ms=2000
connections.max.reauth.ms=2000
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:ANONYMOUS
log.dirs={data}
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
group.initial.rebalance.delay.ms=0
auto.create.topics.enable=false
",
            data = path(&folder.path().join("data")),
        );
        let file = folder.path().join("kafka.properties");
        std::fs::write(&file, properties).unwrap();
        let scram = format!("SCRAM-SHA-512=[name={USER},password={PASSWORD}]");
        let formatted = java(&folder)
            .args([
                "kafka.tools.StorageTool",
                "format",
                "-t",
                "bullionTestsOfTLSabcdQ",
                "-c",
            ])
            .arg(&file)
            .args(["--add-scram", &scram])
            .output()
            .unwrap();
        assert!(formatted.status.success(), "{formatted:?}");
        let process = java(&folder).arg("kafka.Kafka").arg(&file).spawn().unwrap();
        let kafka = SecureKafka {
            authority,
            plain,
            tls,
            sasl,
            expired,
            folder,
            _process: Running(process),
        };
        let admin = kafka.admin();
        wait_for("kafka with TLS", PATIENCE, || async {
            let asked = admin.inner().fetch_metadata(None, Duration::from_secs(1));
            asked.ok().map(|_| ())
        })
        .await;
        kafka
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub fn plain(&self) -> String {
        format!("127.0.0.1:{}", self.plain)
    }

    pub fn tls(&self) -> String {
        format!("127.0.0.1:{}", self.tls)
    }

    /// The same listener by a name that its certificate does not hold.
    pub fn tls_by_another_name(&self) -> String {
        format!("localhost:{}", self.tls)
    }

    pub fn expired(&self) -> String {
        format!("127.0.0.1:{}", self.expired)
    }

    pub fn sasl(&self) -> String {
        format!("127.0.0.1:{}", self.sasl)
    }

    fn admin(&self) -> AdminClient<DefaultClientContext> {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", self.plain())
            .create()
            .unwrap()
    }

    /// What docs/security.md says for ingest: `kafka-acls --add --consumer --topic NAME --group GROUP`.
    pub fn let_user_read(&self, topic: &str, group: &str) {
        use ffi::rd_kafka_AclOperation_t as Operation;
        use ffi::rd_kafka_ResourceType_t as Resource;
        let (on_topic, on_group) = (
            Resource::RD_KAFKA_RESOURCE_TOPIC,
            Resource::RD_KAFKA_RESOURCE_GROUP,
        );
        self.allow(on_topic, topic, Operation::RD_KAFKA_ACL_OPERATION_READ);
        self.allow(on_topic, topic, Operation::RD_KAFKA_ACL_OPERATION_DESCRIBE);
        self.allow(on_group, group, Operation::RD_KAFKA_ACL_OPERATION_READ);
    }

    pub fn allow(
        &self,
        kind: ffi::rd_kafka_ResourceType_t,
        name: &str,
        operation: ffi::rd_kafka_AclOperation_t,
    ) {
        let [name, principal, everywhere] =
            [name, &format!("User:{USER}"), "*"].map(|text| CString::new(text).unwrap());
        let mut message = [0; 256];
        // SAFETY: the texts live through the call, which copies them
        let mut binding = unsafe {
            ffi::rd_kafka_AclBinding_new(
                kind,
                name.as_ptr(),
                ffi::rd_kafka_ResourcePatternType_t::RD_KAFKA_RESOURCE_PATTERN_LITERAL,
                principal.as_ptr(),
                everywhere.as_ptr(),
                operation,
                ffi::rd_kafka_AclPermissionType_t::RD_KAFKA_ACL_PERMISSION_TYPE_ALLOW,
                message.as_mut_ptr(),
                message.len(),
            )
        };
        assert!(!binding.is_null());
        self.ask(|handle, answers| {
            // SAFETY: the binding is alive, and freed once
            unsafe {
                ffi::rd_kafka_CreateAcls(handle, &raw mut binding, 1, std::ptr::null(), answers);
                ffi::rd_kafka_AclBinding_destroy(binding);
            }
        });
    }

    /// The user's password becomes another one, as when it is rotated.
    pub fn change_password(&self) {
        let user = CString::new(USER).unwrap();
        let password = b"another";
        // SAFETY: the texts live through the calls, which copy them; the alteration is freed once
        self.ask(|handle, answers| unsafe {
            let mut alteration = ffi::rd_kafka_UserScramCredentialUpsertion_new(
                user.as_ptr(),
                ffi::rd_kafka_ScramMechanism_t::RD_KAFKA_SCRAM_MECHANISM_SHA_512,
                4096,
                password.as_ptr(),
                password.len(),
                b"salt".as_ptr(),
                4,
            );
            ffi::rd_kafka_AlterUserScramCredentials(
                handle,
                &raw mut alteration,
                1,
                std::ptr::null(),
                answers,
            );
            ffi::rd_kafka_UserScramCredentialAlteration_destroy(alteration);
        });
    }

    /// One request of the administrator's, which the crate has no call for.
    fn ask(&self, send: impl FnOnce(*mut ffi::rd_kafka_t, *mut ffi::rd_kafka_queue_t)) {
        let admin = self.admin();
        let handle = admin.inner().native_ptr();
        // SAFETY: queue and event are made, used and freed here, while the client lives
        unsafe {
            let answers = ffi::rd_kafka_queue_new(handle);
            send(handle, answers);
            let event = ffi::rd_kafka_queue_poll(answers, 30_000);
            assert!(!event.is_null());
            let code = ffi::rd_kafka_event_error(event);
            ffi::rd_kafka_event_destroy(event);
            ffi::rd_kafka_queue_destroy(answers);
            assert_eq!(code, ffi::RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR);
        }
    }
}

/// One of Kafka's programs, with the stack's own jars; what it says is in the folder.
fn java(folder: &tempfile::TempDir) -> Command {
    let log = std::fs::File::options()
        .append(true)
        .create(true)
        .open(folder.path().join("kafka.log"))
        .unwrap();
    let mut command = Command::new("java");
    command
        .args([
            "-Xmx256m",
            "-XX:+UseSerialGC",
            "-XX:TieredStopAtLevel=1",
            "-cp",
        ])
        .arg(jars().join("*"))
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .stdin(Stdio::null());
    command
}

/// Where `stack/stack` keeps them.
fn jars() -> PathBuf {
    let cache = std::env::var_os("BULLION_CACHE").map_or_else(
        || PathBuf::from(std::env::var_os("HOME").unwrap()).join(".cache/bullion"),
        PathBuf::from,
    );
    let found = std::fs::read_dir(&cache)
        .unwrap()
        .map(|entry| entry.unwrap());
    let mut kafkas: Vec<PathBuf> = found
        .filter(|entry| entry.file_name().to_string_lossy().starts_with("kafka-"))
        .map(|entry| entry.path())
        .collect();
    kafkas.sort();
    kafkas
        .pop()
        .expect("`stack/stack fetch` brings Kafka's jars")
}

pub fn free_ports<const N: usize>() -> [u16; N] {
    let listeners = [(); N].map(|()| std::net::TcpListener::bind("127.0.0.1:0").unwrap());
    listeners.map(|listener| listener.local_addr().unwrap().port())
}

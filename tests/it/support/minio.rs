//! MinIO, and buckets in it: the stack's, or one of the test's own that is killed and comes back on its port.

use std::process::{Command, Stdio};
use std::time::Duration;

use bullion::archive::Place;
use object_store::ObjectStoreExt as _;
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::path::Path;
use object_store::signer::{Method, Signer as _};
use tempfile::TempDir;

use super::program::Running;
use super::secure_kafka::free_ports;
use super::{PATIENCE, Project, http, stack, wait_for};

#[derive(Clone)]
pub struct Minio {
    pub url: String,
    user: String,
    password: String,
}

impl Minio {
    pub fn of_stack() -> Minio {
        Minio {
            url: stack("BULLION_MINIO_URL"),
            user: stack("BULLION_MINIO_USER"),
            password: stack("BULLION_MINIO_PASSWORD"),
        }
    }

    /// An empty one, whose name says which test and which process it is of.
    pub async fn bucket(&self, test: &str) -> Bucket {
        let name = format!("{}-{}", test.replace('_', "-"), std::process::id());
        let client = AmazonS3Builder::new()
            .with_bucket_name(&name)
            .with_region(REGION)
            .with_endpoint(&self.url)
            .with_allow_http(true)
            .with_access_key_id(&self.user)
            .with_secret_access_key(&self.password)
            .build()
            .unwrap();
        let bucket = Bucket {
            minio: self.clone(),
            name,
            client,
        };
        bucket.make().await;
        bucket
    }
}

const REGION: &str = "us-east-1";
/// What a test's archive lies under, so that a bucket may hold more than it.
const PREFIX: &str = "some/where";

pub struct Bucket {
    pub name: String,
    minio: Minio,
    client: AmazonS3,
}

impl Bucket {
    /// The client knows objects only: a signed request to the bucket itself makes it.
    async fn make(&self) {
        let itself = Path::default();
        let valid = Duration::from_secs(60);
        let url = self.client.signed_url(Method::PUT, &itself, valid).await;
        let made = http().put(url.unwrap()).send().await;
        made.expect("MinIO answers: `stack/stack start minio`")
            .error_for_status()
            .unwrap();
    }

    pub fn url(&self) -> String {
        format!("s3://{}/{PREFIX}", self.name)
    }

    /// What a user sets to have the archive here.
    pub fn archive_of(&self, project: &mut Project) {
        project.set("BULLION_ARCHIVE_URL", &self.url());
        project.set("BULLION_ARCHIVE_ENDPOINT", &self.minio.url);
        project.set("BULLION_ARCHIVE_ACCESS_KEY", &self.minio.user);
        project.set("BULLION_ARCHIVE_SECRET_KEY", &self.minio.password);
    }

    pub fn place(&self) -> Place {
        Place::S3(bullion::archive::Bucket {
            name: self.name.clone(),
            prefix: PREFIX.to_owned(),
            endpoint: Some(self.minio.url.clone()),
            region: REGION.to_owned(),
            access_key: Some(self.minio.user.clone()),
            secret_key: Some(self.minio.password.clone().into()),
        })
    }

    /// Names of all files, without their folders.
    pub async fn files(&self) -> Vec<String> {
        use futures_util::TryStreamExt as _;
        use object_store::ObjectStore as _;
        let listed = self.client.list(None);
        let objects: Vec<_> = listed.try_collect().await.unwrap();
        let name =
            |object: &object_store::ObjectMeta| object.location.filename().map(str::to_owned);
        objects.iter().filter_map(name).collect()
    }

    /// Takes away the files whose names begin so; says how many.
    pub async fn lose(&self, topic: &str, start: &str) -> usize {
        use futures_util::TryStreamExt as _;
        use object_store::ObjectStore as _;
        let below = Path::from(format!("{PREFIX}/{topic}"));
        let objects: Vec<_> = self.client.list(Some(&below)).try_collect().await.unwrap();
        let mut lost = 0;
        for object in objects {
            let name = object.location.filename().unwrap();
            if name.starts_with(start) {
                self.client.delete(&object.location).await.unwrap();
                lost += 1;
            }
        }
        lost
    }
}

/// A process on one port and one folder over its whole life.
pub struct OwnMinio {
    pub minio: Minio,
    folder: TempDir,
    process: Option<Running>,
}

impl OwnMinio {
    pub async fn start() -> OwnMinio {
        let [port] = free_ports();
        let mut own = OwnMinio {
            minio: Minio {
                url: format!("http://127.0.0.1:{port}"),
                user: "bullion".to_owned(),
                password: "of-the-test".to_owned(),
            },
            folder: tempfile::tempdir().unwrap(),
            process: None,
        };
        own.start_again().await;
        own
    }

    pub async fn start_again(&mut self) {
        let address = self.minio.url.strip_prefix("http://").unwrap();
        let child = Command::new(stack("BULLION_MINIO_PROGRAM"))
            .args(["server", "--quiet", "--address", address])
            .arg(self.folder.path())
            .env("MINIO_ROOT_USER", &self.minio.user)
            .env("MINIO_ROOT_PASSWORD", &self.minio.password)
            .env("MINIO_BROWSER", "off")
            .env("MINIO_UPDATE", "off")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("`stack/stack start minio` has built it");
        self.process = Some(Running(child));
        let ready = format!("{}/minio/health/ready", self.minio.url);
        wait_for("MinIO", PATIENCE, || async {
            let answer = http().get(&ready).send().await.ok()?;
            answer.status().is_success().then_some(())
        })
        .await;
    }

    /// kill -9.
    pub fn kill(&mut self) {
        self.process.take().unwrap().kill();
    }
}

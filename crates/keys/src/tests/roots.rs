//! Where root keys come from, and going from each to each.

use super::*;
use crate::{RootSettings, Settings, SourceKind};
use secrecy::SecretString;
use std::collections::HashMap;

const PASSPHRASE: &str = "correct horse battery staple";
const HEX: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
const BASE64: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

fn passphrase(text: &str) -> RootSource {
    RootSource::Passphrase(SecretString::from(text))
}

fn environment(text: &str) -> RootSource {
    RootSource::Environment(SecretString::from(text))
}

fn only(root: RootSource) -> Sources {
    Sources { root, next: None }
}

fn reopened(rig: &Rig, keyring: Keyring, sources: Sources) -> Keyring {
    drop(keyring);
    rig.disk.restart();
    rig.open(sources).expect("the ring opens")
}

#[test]
fn a_passphrase_opens_its_ring_and_no_other_does() {
    let rig = Rig::new(1);
    let keyring = rig.open(only(passphrase(PASSPHRASE))).expect("opens");
    rig.seal(&keyring, tenant(1), extent(1));
    assert!(rig.bytes("root.key").is_empty());
    let keyring = reopened(&rig, keyring, only(passphrase(PASSPHRASE)));
    rig.check_all(&keyring);
    drop(keyring);
    let error = rig.open(only(passphrase("correct horse battery stable"))).expect_err("wrong");
    assert!(error.to_string().contains("under another root key (passphrase"), "{error}");
    let error = rig.open(file_source()).expect_err("another kind");
    assert!(error.to_string().contains("under another root key (passphrase"), "{error}");
    let error = rig.open(only(passphrase("short"))).expect_err("too short");
    assert!(error.to_string().contains("12 to 1024 bytes"), "{error}");
}

#[test]
fn the_environments_secret_is_32_bytes_of_text() {
    let rig = Rig::new(2);
    let keyring = rig.open(only(environment(HEX))).expect("opens");
    rig.seal(&keyring, tenant(1), extent(1));
    // The same bytes in another notation are the same key.
    let keyring = reopened(&rig, keyring, only(environment(BASE64)));
    rig.check_all(&keyring);
    drop(keyring);
    for wrong in ["", "hunter2hunter2", &HEX[1..], &format!("{HEX}00"), "zz"] {
        let error = rig.open(only(environment(wrong))).expect_err(wrong).to_string();
        assert!(error.contains("openssl rand"), "{error}");
        assert!(wrong.len() < 4 || !error.contains(wrong), "{error}");
    }
}

#[test]
fn a_ring_goes_from_root_to_root() {
    let rig = Rig::new(3);
    let mut keyring = rig.start();
    let elsewhere = RootSource::File(PathBuf::from("/elsewhere/root"));
    let stations = [
        RootSource::File(root_path()),
        passphrase(PASSPHRASE),
        environment(HEX),
        passphrase("another passphrase"),
        elsewhere,
        environment(BASE64),
    ];
    for (number, pair) in stations.windows(2).enumerate() {
        let [now, next] = pair else { continue };
        rig.seal(&keyring, tenant(1 + number as u128), extent(1));
        let both = Sources { root: now.clone(), next: Some(next.clone()) };
        keyring = reopened(&rig, keyring, both.clone());
        let done = keyring.rotate_root().expect("rotates");
        assert_ne!(done.from, done.to);
        assert!(keyring.status(None, 1).expect("answers").is_next);
        let again = keyring.rotate_root().expect_err("it is there already");
        assert!(matches!(again, KeysError::AlreadyNext), "{again}");
        // Both settings may stay for a start; afterwards the old one opens nothing.
        keyring = reopened(&rig, keyring, both);
        rig.check_all(&keyring);
        drop(keyring);
        rig.open(only(now.clone())).map(drop).expect_err("the old root opens nothing");
        keyring = rig.open(only(next.clone())).expect("the new one does");
        rig.check_all(&keyring);
    }
}

#[test]
fn what_has_no_successor_is_told_how_to_get_one() {
    let rig = Rig::new(4);
    let keyring = rig.open(only(environment(HEX))).expect("opens");
    let error = keyring.rotate_root().expect_err("nothing to go to").to_string();
    assert!(error.contains("encryption.next"), "{error}");
}

#[test]
fn rotating_a_file_changes_the_file() {
    let rig = Rig::new(5);
    let keyring = rig.start();
    rig.seal(&keyring, tenant(1), extent(1));
    let (root, ring) = (rig.bytes("root.key"), rig.bytes("ring"));
    keyring.rotate_root().expect("rotates");
    let now = rig.bytes("root.key");
    assert_ne!(now, root);
    assert!(rig.bytes("root.key.next").is_empty());
    // The old ring under the old key is whole, the old one under the new key is nothing.
    drop(keyring);
    rig.disk.restart();
    rig.check_all(&rig.start());
    rig.put("ring", &ring);
    rig.open(file_source()).map(drop).expect_err("a ring of the old root");
}

#[test]
fn settings_name_where_secrets_are() {
    let dir = tempfile::tempdir().expect("a directory");
    let known: HashMap<&str, &str> = [("MAINSTEM_PASSPHRASE", PASSPHRASE), ("OTHER", HEX)].into();
    let variables = |name: &str| known.get(name).map(|text| (*text).to_owned());
    let read = |root: RootSettings| {
        let settings = Settings { root, ..Settings::default() };
        let sources = settings.sources(dir.path(), &variables);
        sources.map(|sources| sources.root).map_err(|error| error.to_string())
    };
    let of = |source| RootSettings { source, ..RootSettings::default() };
    let place = dir.path().join("keys").join("root.key");
    assert_eq!(
        read(RootSettings::default()).expect("is").place(),
        format!("file {}", place.display())
    );
    assert_eq!(read(of(SourceKind::Passphrase)).expect("is").place(), "passphrase");
    let error = read(of(SourceKind::Environment)).expect_err("not set");
    assert!(error.contains("`encryption.root.secret_env`"), "{error}");
    assert!(error.contains("MAINSTEM_ROOT_KEY is not set"), "{error}");
    let other = RootSettings { secret_env: "OTHER".into(), ..of(SourceKind::Environment) };
    assert_eq!(read(other).expect("is").place(), "environment");
    let error = read(of(SourceKind::Vault)).expect_err("no token");
    assert!(error.contains("`encryption.root.vault.token_env`"), "{error}");
    let file = dir.path().join("words");
    let mut from_file = of(SourceKind::Passphrase);
    from_file.passphrase_file = Some(file.clone());
    assert!(read(from_file.clone()).expect_err("missing").contains("passphrase_file"));
    std::fs::write(&file, " \n").expect("writes");
    assert!(read(from_file.clone()).expect_err("empty").contains("it is empty"));
    std::fs::write(&file, format!("{PASSPHRASE}\n")).expect("writes");
    assert_eq!(read(from_file).expect("is").place(), "passphrase");
    let next = Some(RootSettings { file: Some(place), ..RootSettings::default() });
    let settings = Settings { next, ..Settings::default() };
    let error = settings.sources(dir.path(), &variables).expect_err("the same file");
    assert!(error.to_string().contains("`encryption.next.file`"), "{error}");
}

#[test]
fn on_a_real_disk_the_root_key_is_for_its_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().expect("a directory");
    let keys = dir.path().join("keys");
    let root = keys.join("root.key");
    let world = World {
        disk: stdx::SystemDisk::shared(),
        clock: stdx::SystemClock::shared(),
        rng: stdx::SystemRng::shared(),
    };
    let open = || {
        let sources = only(RootSource::File(root.clone()));
        let keyring = Keyring::open(world.clone(), &keys, sources)?;
        keyring.attach(Arc::<Log>::default())?;
        Ok::<_, KeysError>(keyring)
    };
    let keyring = open().expect("opens");
    let (key, wrapped) = keyring.make(tenant(1), extent(1)).expect("is made");
    keyring.rotate_root().expect("rotates");
    let second = open().expect_err("in use");
    assert!(matches!(second, KeysError::Locked(_)), "{second}");
    drop(keyring);
    for name in ["root.key", "ring"] {
        let mode = std::fs::metadata(keys.join(name)).expect("is there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    std::fs::set_permissions(&root, PermissionsExt::from_mode(0o644)).expect("changes");
    let error = open().expect_err("open to others").to_string();
    assert!(error.contains("mode 644") && error.contains("chmod 600"), "{error}");
    std::fs::set_permissions(&root, PermissionsExt::from_mode(0o600)).expect("changes");
    let keyring = open().expect("opens");
    assert_eq!(keyring.open(extent(1), &wrapped).expect("opens").bytes(), key.bytes());
}

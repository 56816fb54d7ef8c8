//! A private PostgreSQL for tests: one server per test process on a Unix socket in a directory of
//! its own, a fresh database per test, gone when the process ends, however it ends. It must not
//! know what is tested with it.

use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

/// Where Debian's package `postgresql-15` puts the server.
const PROGRAMS: &str = "/usr/lib/postgresql/15/bin";
/// Who runs it when the tests run as root, which PostgreSQL refuses to.
const UNPRIVILEGED: &str = "postgres";
/// Set by CI: there, tests that ran on one database only do not count.
const CI: &str = "CI";

/// Waits on its standard input, which closes when the test process is gone, killed or not; only
/// then does it stop the server and remove the directory. Sorting by a natural language (ICU)
/// shows code that relies on byte order without asking for it.
const SCRIPT: &str = r#"
programs=$1
dir=$(mktemp -d /tmp/mainstem-postgres-XXXXXX) || exit 1
cd "$dir"
trap 'cd /; rm -rf "$dir"' EXIT
"$programs/initdb" -D data -U postgres -A trust -E UTF8 --no-sync --locale=C.UTF-8 \
    --locale-provider=icu --icu-locale=en-US >log 2>&1 || { cat log >&2; exit 1; }
"$programs/postgres" -D "$dir/data" -k "$dir" -c listen_addresses= -c fsync=off \
    -c full_page_writes=off -c max_connections=300 -c shared_buffers=16MB >>log 2>&1 &
server=$!
tries=0
until "$programs/pg_isready" -q -h "$dir"; do
    tries=$((tries + 1))
    if [ $tries -gt 1200 ] || ! kill -0 $server; then cat log >&2; kill -QUIT $server; exit 1; fi
    sleep 0.05
done
echo "$dir"
cat >/dev/null
kill -INT $server
wait $server
"#;

/// Set to `postgres`: tests that are indifferent to the database run on this one.
const DATABASE: &str = "MAINSTEM_TEST_DATABASE";

/// The URL of a new, empty database, where `MAINSTEM_TEST_DATABASE` asks for PostgreSQL.
///
/// # Panics
/// When PostgreSQL is asked for and not installed.
pub fn chosen() -> Option<String> {
    let is_chosen = std::env::var_os(DATABASE).is_some_and(|name| name == "postgres");
    is_chosen.then(|| server().expect("PostgreSQL is installed where it is asked for").database())
}

pub struct Server {
    socket_dir: PathBuf,
    databases: AtomicU32,
    /// Held open as long as this process lives; see `SCRIPT`.
    _keeper: (Child, ChildStdin),
}

/// The server of this process, started by the first call. `None`, said loudly, when PostgreSQL is
/// not installed, which in CI is a failure.
pub fn server() -> Option<&'static Server> {
    static SERVER: OnceLock<Option<Server>> = OnceLock::new();
    SERVER
        .get_or_init(|| {
            if Path::new(PROGRAMS).join("postgres").exists() {
                return Some(Server::start());
            }
            let absent = format!("no PostgreSQL in {PROGRAMS}: ran on SQLite ONLY");
            assert!(std::env::var_os(CI).is_none(), "{absent}");
            eprintln!("\n*** {absent} ***\n");
            None
        })
        .as_ref()
}

fn is_root() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let users = status.lines().find_map(|line| line.strip_prefix("Uid:"));
    users.and_then(|ids| ids.split_whitespace().nth(1)) == Some("0")
}

impl Server {
    fn start() -> Server {
        let mut command = if is_root() {
            let mut command = Command::new("setpriv");
            let (user, group) =
                (format!("--reuid={UNPRIVILEGED}"), format!("--regid={UNPRIVILEGED}"));
            command.args([&user, &group, "--init-groups", "sh"]);
            command
        } else {
            Command::new("sh")
        };
        // A group of its own: an interrupt at the terminal must not kill the keeper, which still
        // has to clean up.
        let mut keeper = command
            .args(["-c", SCRIPT, "sh", PROGRAMS])
            .current_dir("/")
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a shell, and setpriv when run as root");
        let stdin = keeper.stdin.take().expect("asked for above");
        let mut stdout = BufReader::new(keeper.stdout.take().expect("asked for above"));
        let mut line = String::new();
        stdout.read_line(&mut line).expect("the keeper writes text");
        assert!(!line.is_empty(), "PostgreSQL did not start; its words are above");
        Server {
            socket_dir: PathBuf::from(line.trim_end()),
            databases: AtomicU32::new(0),
            _keeper: (keeper, stdin),
        }
    }

    /// The URL of a new, empty database.
    pub fn database(&self) -> String {
        let name = format!("test_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        let made = Command::new(Path::new(PROGRAMS).join("createdb"))
            .args(["-U", "postgres", "-h"])
            .arg(&self.socket_dir)
            .arg(&name)
            .status()
            .expect("createdb is beside the server");
        assert!(made.success(), "createdb failed");
        self.url(&name)
    }

    /// The URL of a database of this name, there or not.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://postgres@localhost/{database}?host={}", self.socket_dir.display())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_test_gets_a_database_of_its_own() {
        let Some(server) = server() else { return };
        let (one, other) = (server.database(), server.database());
        assert_ne!(one, other);
        let list = Command::new(Path::new(PROGRAMS).join("psql"))
            .args(["-U", "postgres", "-Atc", "select datname from pg_database", "-h"])
            .arg(&server.socket_dir)
            .output()
            .expect("psql is beside the server");
        let list = String::from_utf8_lossy(&list.stdout).into_owned();
        for url in [one, other] {
            let name = url.rsplit('/').find(|part| part.starts_with("test_"));
            let name = name.and_then(|part| part.split('?').next()).expect("a name");
            assert!(list.lines().any(|line| line == name), "{name} is not in {list}");
        }
    }
}

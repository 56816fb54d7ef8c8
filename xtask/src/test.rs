//! Everything that must hold before a change lands, in the order in which it fails fastest.

use crate::run::{Outcome, cargo, exists, root, step};
use crate::{dev, generate, packages, tidy};
use std::process::Command;

#[derive(clap::Args, Default)]
pub struct Test {
    /// Leaves the console out: no Node needed, and no browser test.
    #[arg(long)]
    no_console: bool,
}

impl Test {
    pub fn run(&self) -> Outcome {
        packages::install()?;
        step(cargo().args(["fmt", "--all", "--check"]))?;
        tidy::run()?;
        if !self.no_console {
            if !exists("npm") {
                return Err("the console's tests need Node; or run with --no-console".to_owned());
            }
            dev::build_console()?;
            step(npm().args(["run", "check"]))?;
            step(npm().args(["run", "test"]))?;
        }
        // Clippy shares nothing with the build it precedes, so it goes over the tests' own code
        // paths only once; warnings are errors here and nowhere else.
        let lint = ["clippy", "--workspace", "--all-targets", "--quiet", "--", "-D", "warnings"];
        step(cargo().args(lint))?;
        if packages::has_kerberos() {
            // Only one file sees the library, which the tests do without.
            let of_kafka = ["clippy", "--package", "kafka", "--features", "gssapi", "--quiet"];
            step(cargo().args(of_kafka).args(["--", "-D", "warnings"]))?;
        }
        step(cargo().args(["build", "--package", "server", "--package", "replay"]))?;
        generate::Gen { check: true }.run()?;
        if !self.no_console {
            browser_test()?;
        }
        step(cargo().args(["test", "--workspace", "--no-fail-fast"]))
    }
}

/// The console in a browser against the real server: by keyboard, in both themes, with axe.
fn browser_test() -> Outcome {
    let data = dev::target_dir().join("browser-test");
    // Left over from a run that was cut; a missing one is as well.
    let _ = std::fs::remove_dir_all(&data);
    let (server, known) = dev::Running::start_dev(&data)?;
    let outcome = step(
        npm().args(["run", "e2e"]).env("MAINSTEM_URL", known.url).env("MAINSTEM_KEY", known.key),
    );
    drop(server);
    outcome?;
    // These start servers of their own, from empty data folders.
    let program = dev::target_dir().join("debug/mainstem");
    let own = [
        "e2e:staff",
        "e2e:passkeys",
        "e2e:oidc",
        "e2e:approvals",
        "e2e:conditions",
        "e2e:groups",
        "e2e:story",
    ];
    for pages in own {
        step(npm().args(["run", pages]).env("MAINSTEM_BIN", &program))?;
    }
    Ok(())
}

pub fn npm() -> Command {
    let mut command = Command::new("npm");
    command.current_dir(root().join("console"));
    command
}

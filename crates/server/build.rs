//! Builds the binary again when the console it embeds was built anew.

fn main() {
    println!("cargo::rerun-if-changed=../../console/dist");
}

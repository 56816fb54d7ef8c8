//! The figures of several processes in one text.

use crate::labelled;

#[test]
fn samples_get_a_label_and_families_stay_together() {
    let text = |count: u32| {
        format!(
            "# HELP a_total What it counts.\n# TYPE a_total counter\na_total {count}\n\n\
             # TYPE b_seconds histogram\nb_seconds_bucket{{le=\"0.1\"}} {count}\n\
             b_seconds_sum 0.5\n"
        )
    };
    let joined = labelled(&[("owner".to_owned(), text(1)), ("0".to_owned(), text(2))]);
    assert_eq!(
        joined,
        "# HELP a_total What it counts.\n# TYPE a_total counter\n\
         a_total{process=\"owner\"} 1\na_total{process=\"0\"} 2\n\
         # TYPE b_seconds histogram\n\
         b_seconds_bucket{process=\"owner\",le=\"0.1\"} 1\nb_seconds_sum{process=\"owner\"} 0.5\n\
         b_seconds_bucket{process=\"0\",le=\"0.1\"} 2\nb_seconds_sum{process=\"0\"} 0.5\n"
    );
}

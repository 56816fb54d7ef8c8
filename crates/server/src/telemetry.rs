//! Logs, traces and metrics of the process. Everything is set up before the first thread that
//! logs; secrets never come here, because the types that hold them do not print them.

use crate::config::{LogFormat, Telemetry};
use crate::log_layer::LogLayer;
use control::Logbook;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use opentelemetry::trace::TracerProvider;
use opentelemetry_otlp::WithExportConfig;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider};
use port::metric::{self, MetricKind};
use std::sync::Arc;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::reload;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry};

/// Upper bounds of the histograms in seconds, from a memory write to a very slow disk.
const SECONDS: &[f64] = &[
    0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5,
    1.0, 2.5, 5.0, 10.0,
];

pub struct Instruments {
    pub metrics: PrometheusHandle,
    pub log: LogControl,
    /// The newest lines of the log.
    pub book: Arc<Logbook>,
    traces: Option<SdkTracerProvider>,
}

/// Changes what is logged, at run time.
#[derive(Clone)]
pub struct LogControl(reload::Handle<EnvFilter, Registry>);

impl LogControl {
    pub fn set(&self, directives: &str) -> Result<(), String> {
        let filter = EnvFilter::try_new(directives).map_err(|error| error.to_string())?;
        self.0.reload(filter).map_err(|error| error.to_string())
    }
}

impl Instruments {
    /// Sends what traces are left. Blocks; not from an async thread.
    pub fn finish(self) {
        if let Some(traces) = self.traces
            && let Err(error) = traces.shutdown()
        {
            eprintln!("the last traces could not be sent: {error}");
        }
    }
}

/// Call once, outside any async runtime (the trace exporter brings its own thread).
pub fn install(settings: &Telemetry) -> Result<Instruments, String> {
    let filter = EnvFilter::try_new(&settings.log).map_err(|error| error.to_string())?;
    let (filter, handle) = reload::Layer::new(filter);
    let format = match settings.log_format {
        LogFormat::Json => tracing_subscriber::fmt::layer().json().flatten_event(true).boxed(),
        LogFormat::Pretty => tracing_subscriber::fmt::layer().with_target(false).compact().boxed(),
    };
    let traces = settings.otlp_url.as_deref().map(|url| exporter(url, settings)).transpose()?;
    let layer = traces
        .as_ref()
        .map(|traces| tracing_opentelemetry::layer().with_tracer(traces.tracer("mainstem")));
    let book = Arc::new(Logbook::new(settings.log_lines_max as usize));
    opentelemetry::global::set_text_map_propagator(TraceContextPropagator::new());
    tracing_subscriber::registry()
        .with(filter)
        .with(layer)
        .with(format)
        .with(LogLayer::new(Arc::clone(&book)))
        .try_init()
        .map_err(|error| error.to_string())?;
    let metrics = PrometheusBuilder::new()
        .set_buckets(SECONDS)
        .and_then(|builder| builder.install_recorder().map(Ok)?)
        .map_err(|error| error.to_string())?;
    for metric in metric::ALL {
        match metric.kind {
            MetricKind::Counter => metrics::describe_counter!(metric.name, metric.meaning),
            MetricKind::Gauge => metrics::describe_gauge!(metric.name, metric.meaning),
            MetricKind::Histogram => metrics::describe_histogram!(metric.name, metric.meaning),
        }
    }
    Ok(Instruments { metrics, log: LogControl(handle), book, traces })
}

fn exporter(url: &str, settings: &Telemetry) -> Result<SdkTracerProvider, String> {
    let exporter = opentelemetry_otlp::SpanExporter::builder()
        .with_http()
        .with_endpoint(format!("{}/v1/traces", url.trim_end_matches('/')))
        .build()
        .map_err(|error| error.to_string())?;
    let share = f64::from(settings.trace_percent) / 100.0;
    Ok(SdkTracerProvider::builder()
        .with_batch_exporter(exporter)
        .with_sampler(Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(share))))
        .with_resource(Resource::builder().with_service_name("mainstem").build())
        .build())
}

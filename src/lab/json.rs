//! Experiments and findings for a program. Pure.

use serde::Serialize;

use super::{Experiment, Finding};

#[derive(Debug, Serialize)]
struct Listed<'a> {
    name: &'a str,
    question: &'a str,
}

/// A finding, its fields in the order in which they are written.
#[derive(Debug, Serialize)]
struct Told<'a> {
    name: &'a str,
    question: &'a str,
    prediction: &'a str,
    expected: Vec<Expected>,
    measurements: Vec<Figure>,
    verdict: &'a str,
    /// Why it came out otherwise than predicted, if it did.
    perhaps: Option<&'a str>,
    explanation: &'a str,
    seconds: f64,
}

#[derive(Debug, Serialize)]
struct Expected {
    relation: String,
    holds: bool,
}

#[derive(Debug, Serialize)]
struct Figure {
    name: String,
    value: f64,
    unit: &'static str,
}

impl Finding {
    /// The finding as a JSON object.
    pub fn json(&self) -> String {
        written(&self.told())
    }

    fn told(&self) -> Told<'_> {
        let experiment = self.experiment;
        let expected = experiment.expected.iter().map(|relation| Expected {
            relation: relation.text(&self.measured),
            holds: relation.holds(&self.measured),
        });
        let measurements = self.measured.all().iter().map(|measurement| Figure {
            name: measurement.name(),
            value: measurement.value,
            unit: measurement.unit.name(),
        });
        let verdict = self.verdict();
        let contradicted = verdict == super::Verdict::Contradicted;
        Told {
            name: experiment.name,
            question: experiment.question,
            prediction: experiment.prediction,
            expected: expected.collect(),
            measurements: measurements.collect(),
            verdict: verdict.name(),
            perhaps: contradicted.then_some(experiment.doubt),
            explanation: experiment.explanation,
            seconds: self.took.as_secs_f64(),
        }
    }
}

/// Findings as a JSON array.
pub fn findings_json(findings: &[Finding]) -> String {
    let told: Vec<_> = findings.iter().map(Finding::told).collect();
    written(&told)
}

/// Every experiment, with its question, as a JSON array.
pub fn list_json(experiments: &[Experiment]) -> String {
    let listed: Vec<_> = experiments
        .iter()
        .map(|Experiment { name, question, .. }| Listed { name, question })
        .collect();
    written(&listed)
}

fn written(value: &impl Serialize) -> String {
    serde_json::to_string_pretty(value).expect("texts and finite numbers can be written")
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::super::text::tests::finding;
    use super::super::{EXPERIMENTS, findings_json};
    use super::*;

    fn parsed(text: &str) -> Value {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn a_finding_says_the_same_as_its_text() {
        let told = parsed(&finding(2.0).json());
        assert_eq!(told["name"], "sample");
        assert_eq!(told["verdict"], "confirmed");
        assert_eq!(told["perhaps"], Value::Null);
        assert_eq!(told["expected"][0]["relation"], "calls (short) < 2.2");
        assert_eq!(told["expected"][0]["holds"], true);
        let first = &told["measurements"][0];
        assert_eq!(first["name"], "short: calls");
        assert_eq!(
            (&first["value"], &first["unit"]),
            (&2.0.into(), &"1/message".into())
        );
        assert_eq!(told["measurements"].as_array().unwrap().len(), 4);
        let told = parsed(&finding(3.0).json());
        assert_eq!(told["verdict"], "contradicted");
        assert_eq!(told["perhaps"], "This machine may be busy.");
    }

    #[test]
    fn several_are_an_array() {
        let told = parsed(&findings_json(&[finding(2.0), finding(3.0)]));
        assert_eq!(told[1]["expected"][0]["holds"], false);
        assert_eq!(parsed(&findings_json(&[])), Value::Array(Vec::new()));
        let listed = parsed(&list_json(&EXPERIMENTS));
        assert_eq!(listed.as_array().unwrap().len(), EXPERIMENTS.len());
        assert_eq!(listed[0]["name"], "drain");
    }
}

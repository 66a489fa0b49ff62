#include "core/app/report.h"

#include "core/app/environment.h"
#include "core/time_text.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>

static const char head[] =
    "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
    "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
    "<meta name=\"color-scheme\" content=\"light dark\">\n"
    "<title>muster: evidence report</title>\n<style>\n"
    ":root{--ink:#1c2024;--soft:#5b6570;--paper:#fff;--panel:#f5f6f8;--line:#d9dde2;"
    "--good:#1f8a4c;--bad:#c4372c;--wait:#c98a12;--note:#2f6fb5;--idle:#c3c9d0}\n"
    "@media (prefers-color-scheme:dark){:root{--ink:#e6e8eb;--soft:#9aa4af;--paper:#15181c;"
    "--panel:#1e2227;--line:#343b43;--good:#43b977;--bad:#ef6a5e;--wait:#e0ab3f;--note:#6fa8e6;"
    "--idle:#4b545e}}\n"
    "*{box-sizing:border-box}body{margin:0;background:var(--paper);color:var(--ink);"
    "font:15px/1.5 system-ui,\"DejaVu Sans\",sans-serif}\n"
    "main{max-width:64rem;margin:0 auto;padding:2rem 1.25rem 4rem}\n"
    "h1{font-size:1.7rem;margin:0 0 .25rem}h2{font-size:1.2rem;margin:2.2rem 0 .6rem;"
    "border-bottom:1px solid var(--line);padding-bottom:.25rem}h3{font-size:1rem;margin:0}\n"
    "p{margin:.4rem 0}.soft{color:var(--soft)}"
    "code,.hash{font-family:ui-monospace,\"DejaVu Sans Mono\",monospace;font-size:.82em;"
    "overflow-wrap:anywhere}\n"
    ".wide{overflow-x:auto}table{border-collapse:collapse;width:100%;font-size:.9rem}"
    "th,td{text-align:left;vertical-align:top;padding:.3rem .6rem;border-bottom:1px solid "
    "var(--line)}th{color:var(--soft);font-weight:600}td.n,th.n{text-align:right;"
    "font-variant-numeric:tabular-nums}td.t{white-space:nowrap}\n"
    ".mark{display:inline-block;padding:.05rem .5rem;border-radius:.6rem;color:#fff;"
    "font-size:.82rem;font-weight:600}.good{background:var(--good)}.bad{background:var(--bad)}"
    ".wait{background:var(--wait)}@media (prefers-color-scheme:dark){.mark{color:#15181c}}\n"
    ".panel{background:var(--panel);border:1px solid var(--line);border-radius:.5rem;"
    "padding:.8rem 1rem;margin:.8rem 0;break-inside:avoid}"
    "td .hash{display:inline-block;min-width:34ch}"
    "td:first-child code{white-space:nowrap}.slim{width:auto;min-width:22rem}"
    "time{white-space:nowrap}"
    "details>summary{cursor:pointer;color:var(--soft);font-size:.88rem;margin-top:.4rem}\n"
    "svg{display:block;width:100%;height:auto;margin-top:.5rem}svg text{fill:var(--soft);"
    "font:11px system-ui,\"DejaVu Sans\",sans-serif}svg text.on{fill:var(--ink)}"
    ".rule{stroke:var(--line)}"
    ".s-good{fill:var(--good)}.s-bad{fill:var(--bad)}.s-wait{fill:var(--wait)}"
    ".s-idle{fill:var(--idle)}.s-note{fill:var(--note)}.s-line{stroke:var(--note);"
    "stroke-width:1.5}\n"
    ".key{display:flex;flex-wrap:wrap;gap:.3rem 1.1rem;font-size:.85rem;color:var(--soft)}"
    ".key span::before{content:\"\";display:inline-block;width:.8rem;height:.8rem;"
    "margin-right:.35rem;vertical-align:-.08rem;border-radius:.15rem;background:var(--c)}\n"
    "</style>\n</head>\n<body>\n<main>\n";

void report_text(FILE *file, const char *text) {
  for (; *text != '\0'; text++) {
    switch (*text) {
    case '<':
      fputs("&lt;", file);
      break;
    case '>':
      fputs("&gt;", file);
      break;
    case '&':
      fputs("&amp;", file);
      break;
    case '"':
      fputs("&quot;", file);
      break;
    case '\'':
      fputs("&#39;", file);
      break;
    default:
      putc(*text, file);
      break;
    }
  }
}

void report_time(FILE *file, int64_t at_ms) {
  char text[TIME_TEXT_SIZE];
  if (at_ms == TIME_NONE) {
    fputs("\xe2\x80\x93", file);
    return;
  }
  time_format(at_ms, text);
  fputs(text, file);
}

/* The same where it may be marked up: not broken over lines. */
static void put_time(FILE *file, int64_t at_ms) {
  fputs("<time>", file);
  report_time(file, at_ms);
  fputs("</time>", file);
}

static void put_hash(FILE *file, const uint8_t hash[DIGEST_SIZE]) {
  char hex[HEX_DIGEST_SIZE];
  hex_format(hash, DIGEST_SIZE, hex);
  fprintf(file, "<span class=\"hash\">%s</span>", hex);
}

/* Summary. ------------------------------------------------------------------------------- */

struct totals {
  uint64_t batches, messages, timers, results, expired, erased, withheld, partial, unknown,
      checkpoints;
  size_t diverged, unverifiable;
};

static struct totals add_up(const struct report_page *report) {
  struct totals totals = {0};
  for (size_t i = 0; i < report->lane_count; i++) {
    const struct verify_result *result = report->lanes[i].result;
    totals.batches += result->batches;
    totals.messages += result->messages;
    totals.timers += result->timers;
    totals.expired += result->expired;
    totals.erased += result->erased;
    totals.withheld += result->withheld;
    totals.partial += result->partial;
    totals.unknown += result->unknown_subjects;
    totals.checkpoints += result->checkpoints;
    totals.diverged += result->verdict == VERDICT_DIVERGED ? 1 : 0;
    totals.unverifiable += result->verdict == VERDICT_UNVERIFIABLE ? 1 : 0;
    for (size_t kind = 0; kind < RESULT_KIND_COUNT; kind++) {
      totals.results += result->results[kind];
    }
  }
  return totals;
}

static void put_verdict(FILE *file, const struct totals *totals, size_t lane_count) {
  if (totals->diverged > 0) {
    fprintf(file, "<span class=\"mark bad\">differs</span> %zu of %zu lanes are not as decided.",
            totals->diverged, lane_count);
  } else if (totals->unverifiable > 0) {
    fprintf(file,
            "<span class=\"mark wait\">cannot tell</span> %zu of %zu lanes cannot be verified to "
            "their end.",
            totals->unverifiable, lane_count);
  } else {
    fputs("<span class=\"mark good\">verified</span> Everything was decided again and is as it was "
          "emitted.",
          file);
  }
}

static void put_line(FILE *file, const char *name, uint64_t number) {
  fprintf(file, "<tr><th>%s</th><td class=\"n\">%" PRIu64 "</td></tr>\n", name, number);
}

static void put_summary(const struct report_page *report, const struct totals *totals, FILE *file) {
  fputs("<h1>Evidence report</h1>\n<p>Decisions ", file);
  if (report->from_ms != TIME_NONE) {
    fputs("from <b>", file);
    put_time(file, report->from_ms);
    fputs("</b> ", file);
  }
  if (report->to_ms != TIME_NONE) {
    fputs("until before <b>", file);
    put_time(file, report->to_ms);
    fputs("</b> ", file);
  }
  fputs("of the topics <code>", file);
  report_text(file, report->topic_prefix);
  fprintf(file, "*</code>%s.</p>\n<p>",
          report->is_pseudonymised ? ", pseudonymised: subjects stand for addresses" : "");
  put_verdict(file, totals, report->lane_count);
  fputs("</p>\n<h2>Summary</h2>\n<div class=\"wide\"><table class=\"slim\">\n", file);
  put_line(file, "lanes", report->lane_count);
  put_line(file, "batches decided again", totals->batches);
  put_line(file, "messages read", totals->messages);
  put_line(file, "timers fired", totals->timers);
  put_line(file, "results compared", totals->results);
  put_line(file, "signed checkpoints that hold", totals->checkpoints);
  fputs("</table></div>\n<p class=\"soft\">Lanes are decided from their first batch; decisions "
        "in the range run from ",
        file);
  put_time(file, report->story->first_at_ms);
  fputs(" to ", file);
  put_time(file, report->story->last_at_ms);
  fputs(".</p>\n<div class=\"wide\"><table class=\"slim\">\n<tr><th>decisions in the range</th><th "
        "class=\"n\">number</th></tr>\n",
        file);
  for (enum result_kind kind = 0; kind < RESULT_KIND_COUNT; kind++) {
    fprintf(file, "<tr><td>%s</td><td class=\"n\">%" PRIu64 "</td></tr>\n", result_topic_name(kind),
            report->story->counts[kind]);
  }
  fputs("</table></div>\n", file);
}

static void put_limit(FILE *file, uint64_t count, const char *text) {
  if (count > 0) {
    fprintf(file, "<li>%" PRIu64 " %s</li>\n", count, text);
  }
}

/* What was not checked, and what stands in its place. */
static void put_limits(const struct totals *totals, FILE *file) {
  if (totals->expired + totals->erased + totals->withheld + totals->partial + totals->unknown > 0) {
    fputs("<h2>Not checked byte for byte</h2>\n<ul>\n", file);
    put_limit(file, totals->expired,
              "results have expired on their topics: by the journal's digest alone");
    put_limit(file, totals->erased, "results without the address they were emitted with");
    put_limit(file, totals->withheld, "dead letters whose content is withheld");
    put_limit(file, totals->partial,
              "batches whose digests of inputs or results were taken as recorded, since content "
              "is withheld; the chain over them holds");
    put_limit(file, totals->unknown,
              "enrolments that changed nothing and whose subject nothing tells");
    fputs("</ul>\n", file);
  }
}

/* Lanes and what differs. ---------------------------------------------------------------- */

static const char *verdict_mark(enum verdict verdict) {
  switch (verdict) {
  case VERDICT_VERIFIED:
    return "<span class=\"mark good\">verified</span>";
  case VERDICT_DIVERGED:
    return "<span class=\"mark bad\">differs</span>";
  case VERDICT_UNVERIFIABLE:
    return "<span class=\"mark wait\">cannot tell</span>";
  }
  assert(false);
  return "";
}

static void put_lanes(const struct report_page *report, FILE *file) {
  fputs("<h2>Lanes</h2>\n<div class=\"wide\"><table>\n<tr><th>lane</th><th></th><th "
        "class=\"n\">batches</th><th class=\"n\">messages</th><th>head of the chain, root of the "
        "tree</th><th>signed up to</th></tr>\n",
        file);
  for (size_t i = 0; i < report->lane_count; i++) {
    const struct verify_result *result = report->lanes[i].result;
    fprintf(file,
            "<tr><td>%" PRIu32 "</td><td>%s</td><td class=\"n\">%" PRIu64
            "</td><td class=\"n\">%" PRIu64 "</td><td>",
            report->lanes[i].number, verdict_mark(result->verdict), result->batches,
            result->messages);
    put_hash(file, result->chain);
    if (result->tree.size > 0) {
      fputs("<br>", file);
      put_hash(file, result->tree.root.hash);
    }
    if (result->checkpoints > 0) {
      fprintf(file, "</td><td>batch %" PRIu64 "</td></tr>\n", result->signed_batch);
    } else {
      fputs("</td><td>\xe2\x80\x93</td></tr>\n", file);
    }
  }
  fputs("</table></div>\n", file);
}

static void put_value(FILE *file, const json_t *value) {
  char *const text =
      value == NULL ? NULL : json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY | JSON_SORT_KEYS);
  report_text(file, text == NULL ? "nothing" : text);
  free(text);
}

static void put_place(FILE *file, const char *name, const json_t *place) {
  if (place != NULL && !json_is_null(place)) {
    fprintf(file, "<p class=\"soft\">%s <code>", name);
    put_value(file, place);
    fputs("</code></p>\n", file);
  }
}

static void put_finding(FILE *file, const json_t *finding) {
  size_t i;
  json_t *difference;
  fputs("<p><b>", file);
  report_text(file, json_string_value(json_object_get(finding, "what")));
  fprintf(file, "</b>, batch %" JSON_INTEGER_FORMAT,
          json_integer_value(json_object_get(finding, "batch")));
  if (json_object_get(finding, "seq") != NULL) {
    fprintf(file, ", result %" JSON_INTEGER_FORMAT,
            json_integer_value(json_object_get(finding, "seq")));
  }
  fputs(": ", file);
  const char *text = json_string_value(json_object_get(finding, "text"));
  report_text(file, text == NULL ? "" : text);
  fputs("</p>\n", file);
  put_place(file, "at", json_object_get(finding, "at"));
  put_place(file, "caused by", json_object_get(finding, "cause"));
  fputs("<div class=\"wide\"><table>\n<tr><th>field</th><th>expected</th><th>found</th>"
        "</tr>\n",
        file);
  const json_t *const differences = json_object_get(finding, "differences");
  if (differences == NULL) {
    fputs("<tr><td>all</td><td><code>", file);
    put_value(file, json_object_get(finding, "expected"));
    fputs("</code></td><td><code>", file);
    put_value(file, json_object_get(finding, "found"));
    fputs("</code></td></tr>\n", file);
  }
  json_array_foreach(differences, i, difference) {
    fputs("<tr><td><code>", file);
    report_text(file, json_string_value(json_object_get(difference, "field")));
    fputs("</code></td><td><code>", file);
    put_value(file, json_object_get(difference, "expected"));
    fputs("</code></td><td><code>", file);
    put_value(file, json_object_get(difference, "found"));
    fputs("</code></td></tr>\n", file);
  }
  fputs("</table></div>\n", file);
}

/* What nobody has seen, and who accepted that. */
static void put_gaps(const struct report_page *report, FILE *file) {
  bool has_any = false;
  for (size_t i = 0; i < report->lane_count; i++) {
    const struct verify_result *result = report->lanes[i].result;
    for (size_t gap = 0; gap < verify_gap_count(result); gap++) {
      char *const text = verify_gap_text(json_array_get(result->gaps, gap));
      fputs(has_any ? "" : "<h2>What was never seen</h2>\n<ul>\n", file);
      fprintf(file, "<li>Lane %" PRIu32 ", ", report->lanes[i].number);
      report_text(file, text);
      fputs("</li>\n", file);
      free(text);
      has_any = true;
    }
  }
  fputs(has_any ? "</ul>\n" : "", file);
}

static void put_differences(const struct report_page *report, const struct totals *totals,
                            FILE *file) {
  if (totals->diverged + totals->unverifiable == 0) {
    return;
  }
  fputs("<h2>What differs</h2>\n<p class=\"soft\">The first thing of each lane; what stands behind "
        "it follows from a state that may be wrong, and was not looked at.</p>\n",
        file);
  for (size_t i = 0; i < report->lane_count; i++) {
    const struct verify_result *result = report->lanes[i].result;
    if (result->verdict == VERDICT_VERIFIED) {
      continue;
    }
    fprintf(file, "<section class=\"panel\">\n<h3>Lane %" PRIu32 "</h3>\n",
            report->lanes[i].number);
    if (result->finding != NULL) {
      put_finding(file, result->finding);
    } else {
      fprintf(file, "<p>Cannot be verified from batch %" PRIu64 " on: ", result->batches + 1);
      report_text(file, result->reason);
      fputs("</p>\n", file);
    }
    fputs("</section>\n", file);
  }
}

/* The policy. ---------------------------------------------------------------------------- */

static void put_policy(FILE *file, const struct story_policy *policy) {
  fputs("<p>Version <b>", file);
  report_text(file, policy->version);
  fputs("</b>, which decides from ", file);
  put_time(file, policy->since_ms);
  fputs(" on; SHA-256 over what it means ", file);
  put_hash(file, policy->hash);
  fprintf(file,
          ".</p>\n<details><summary>what it says, %zu lines</summary>\n"
          "<div class=\"wide\"><table>\n",
          policy->lines.count);
  for (size_t i = 0; i < policy->lines.count; i++) {
    fputs("<tr><td><code>", file);
    report_text(file, policy->lines.items[i].key);
    fputs("</code></td><td>", file);
    report_text(file, policy->lines.items[i].value);
    fputs("</td></tr>\n", file);
  }
  fputs("</table></div></details>\n", file);
}

static void put_policies(const struct report_page *report, FILE *file) {
  fprintf(file, "<h2>Policies in force</h2>\n<p class=\"soft\">Decision version %d.</p>\n",
          DECISION_VERSION);
  for (size_t i = 0; i < report->story->policy_count; i++) {
    put_policy(file, &report->story->policies[i]);
  }
}

/* Devices. ------------------------------------------------------------------------------- */

static const char legend[] =
    "<p class=\"key\"><span style=\"--c:var(--good)\">compliant, let in</span>"
    "<span style=\"--c:var(--wait)\">grace</span>"
    "<span style=\"--c:var(--bad)\">non-compliant, kept out, ticket open</span>"
    "<span style=\"--c:var(--idle)\">nothing known, nothing open</span>"
    "<span style=\"--c:var(--note)\">notice, policy</span></p>\n";

static void put_devices(const struct report_page *report, FILE *file) {
  const struct story *story = report->story;
  fputs("<h2>Devices</h2>\n", file);
  if (story->device_count == 0) {
    fputs("<p>No device has a decision in the range.</p>\n", file);
    return;
  }
  fputs(legend, file);
  if (story->untold > 0) {
    fprintf(file,
            "<p class=\"soft\">%zu devices are shown; %" PRIu64
            " more have decisions in the range (--device names others).</p>\n",
            story->device_count, story->untold);
  }
  for (size_t i = 0; i < story->device_count; i++) {
    report_device(file, report, &story->devices[i]);
  }
}

void report_put(const struct report_page *report, FILE *file) {
  const struct totals totals = add_up(report);
  fputs(head, file);
  put_summary(report, &totals, file);
  put_differences(report, &totals, file);
  put_limits(&totals, file);
  put_lanes(report, file);
  put_gaps(report, file);
  put_policies(report, file);
  put_devices(report, file);
  fputs("</main>\n</body>\n</html>\n", file);
}

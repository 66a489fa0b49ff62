/* A device's timeline as a drawing, and its events as a table. */
#include "core/app/report.h"
#include "core/time_text.h"

#include <inttypes.h>

enum {
  WIDTH = 960,
  LEFT = 104, /* of the rows' names */
  RIGHT = 14,
  ROW_HEIGHT = 24,
  BAR_HEIGHT = 14,
  TOP = 6,
  ROW_COUNT = 5,
  HEIGHT = TOP + ROW_COUNT * ROW_HEIGHT + 30,
  TICKS = 4, /* parts of the time axis */
};

enum row { ROW_COMPLIANCE, ROW_VIOLATIONS, ROW_MAIL, ROW_TICKET, ROW_NOTICES };

static const char *const row_names[ROW_COUNT] = {"compliance", "violations", "mail", "ticket",
                                                 "notices"};

struct drawing {
  FILE *file;
  const struct report_page *report;
  int64_t begin_ms, end_ms; /* of the time axis; begin < end */
};

static double x_of(const struct drawing *drawing, int64_t at_ms) {
  const double part =
      (double)(at_ms - drawing->begin_ms) / (double)(drawing->end_ms - drawing->begin_ms);
  return LEFT + (part < 0 ? 0 : part > 1 ? 1 : part) * (WIDTH - LEFT - RIGHT);
}

static int y_of(enum row row) {
  return TOP + (int)row * ROW_HEIGHT + (ROW_HEIGHT - BAR_HEIGHT) / 2;
}

/* A part of a row, with what it is in words when it is pointed at. */
static void put_bar(const struct drawing *drawing, enum row row, int64_t from_ms, int64_t to_ms,
                    const char *class, const char *words) {
  const double from = x_of(drawing, from_ms);
  const double width = x_of(drawing, to_ms) - from;
  if (to_ms < from_ms) {
    return;
  }
  fprintf(drawing->file,
          "<rect class=\"%s\" x=\"%.1f\" y=\"%d\" width=\"%.1f\" height=\"%d\"><title>%s, from ",
          class, from, y_of(row), width < 1.5 ? 1.5 : width, BAR_HEIGHT, words);
  report_time(drawing->file, from_ms);
  fputs("</title></rect>\n", drawing->file);
}

static void put_frame(const struct drawing *drawing) {
  FILE *file = drawing->file;
  for (int row = 0; row < ROW_COUNT; row++) {
    fprintf(file, "<text x=\"0\" y=\"%d\">%s</text>\n", y_of((enum row)row) + BAR_HEIGHT - 3,
            row_names[row]);
  }
  for (int tick = 0; tick <= TICKS; tick++) {
    const int64_t at_ms = drawing->begin_ms + (drawing->end_ms - drawing->begin_ms) / TICKS * tick;
    const int y = TOP + ROW_COUNT * ROW_HEIGHT + 4;
    char text[TIME_TEXT_SIZE];
    time_format(at_ms, text);
    text[10] = ' ';
    fprintf(file,
            "<line class=\"rule\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%d\" y2=\"%d\"/><text x=\"%.1f\" "
            "y=\"%d\" text-anchor=\"%s\">%.16s</text>\n",
            x_of(drawing, at_ms), x_of(drawing, at_ms), TOP, y, x_of(drawing, at_ms), y + 14,
            tick == 0       ? "start"
            : tick == TICKS ? "end"
                            : "middle",
            text);
  }
}

/* Where a row has come to. */
struct cursor {
  int64_t since_ms;
  const char *class, *words;
};

static void move(const struct drawing *drawing, enum row row, struct cursor *cursor, int64_t at_ms,
                 const char *class, const char *words) {
  put_bar(drawing, row, cursor->since_ms, at_ms, cursor->class, cursor->words);
  *cursor = (struct cursor){at_ms, class, words};
}

static const char *compliance_class(uint32_t compliance) {
  switch ((enum compliance)compliance) {
  case COMPLIANCE_COMPLIANT:
    return "s-good";
  case COMPLIANCE_NONCOMPLIANT:
    return "s-bad";
  case COMPLIANCE_UNKNOWN:
  case COMPLIANCE_COUNT:
    break;
  }
  return "s-idle";
}

/* Mail: kept out, or in grace while it is not compliant, or let in. */
static const char *mail_class(const struct story_state *state) {
  return state->is_blocked                              ? "s-bad"
         : state->compliance == COMPLIANCE_NONCOMPLIANT ? "s-wait"
         : state->compliance == COMPLIANCE_COMPLIANT    ? "s-good"
                                                        : "s-idle";
}

static const char *mail_words(const struct story_state *state) {
  return state->is_blocked                              ? "mail blocked"
         : state->compliance == COMPLIANCE_NONCOMPLIANT ? "grace: mail is let in still"
                                                        : "mail let in";
}

static void put_mark(const struct drawing *drawing, const struct story_event *event) {
  const double x = x_of(drawing, event->at_ms);
  const int y = y_of(ROW_NOTICES) + BAR_HEIGHT / 2;
  if (event->kind == STORY_POLICY) {
    fprintf(drawing->file, "<line class=\"s-line\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%d\" y2=\"%d\"/>",
            x, x, TOP, TOP + ROW_COUNT * ROW_HEIGHT);
  }
  fprintf(drawing->file, "<circle class=\"s-note\" cx=\"%.1f\" cy=\"%d\" r=\"4.5\"><title>%s ", x,
          y, event->kind == STORY_POLICY ? "policy" : "notice");
  report_text(drawing->file, event->text == NULL ? "" : event->text);
  fputs(", ", drawing->file);
  report_time(drawing->file, event->at_ms);
  fputs("</title></circle>\n", drawing->file);
}

static void put_violations(FILE *file, const char *violations) {
  if (violations != NULL) {
    fputs(": ", file);
    report_text(file, violations);
  }
}

struct violated {
  uint32_t count;
  const char *names;
};

/* What is violated at a time, by number; the rules when it is pointed at. */
static void put_violations_bar(const struct drawing *drawing, int64_t from_ms, int64_t to_ms,
                               const struct violated *violated) {
  const double from = x_of(drawing, from_ms);
  const double width = x_of(drawing, to_ms) - from;
  const uint32_t count = violated->count;
  if (count == 0 || to_ms < from_ms) {
    return;
  }
  fprintf(drawing->file, "<g><title>violated, from ");
  report_time(drawing->file, from_ms);
  put_violations(drawing->file, violated->names);
  fprintf(drawing->file,
          "</title><rect class=\"s-bad\" fill-opacity=\"%.2f\" x=\"%.1f\" y=\"%d\" "
          "width=\"%.1f\" height=\"%d\"/>",
          count >= 4 ? 0.85 : 0.25 + 0.15 * (double)count, from, y_of(ROW_VIOLATIONS),
          width < 1.5 ? 1.5 : width, BAR_HEIGHT);
  if (width > 12) {
    fprintf(drawing->file,
            "<text class=\"on\" x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%" PRIu32 "</text>",
            from + width / 2, y_of(ROW_VIOLATIONS) + BAR_HEIGHT - 3, count);
  }
  fputs("</g>\n", drawing->file);
}

struct rows {
  struct cursor compliance, mail, ticket;
  int64_t violated_since_ms;
  struct violated violated;
};

static void follow(const struct drawing *drawing, struct rows *rows, struct story_state *state,
                   const struct story_event *event) {
  switch (event->kind) {
  case STORY_COMPLIANCE:
    state->compliance = (uint8_t)event->what;
    put_violations_bar(drawing, rows->violated_since_ms, event->at_ms, &rows->violated);
    rows->violated_since_ms = event->at_ms;
    rows->violated = (struct violated){event->violation_count, event->violations};
    move(drawing, ROW_COMPLIANCE, &rows->compliance, event->at_ms, compliance_class(event->what),
         compliance_name((enum compliance)event->what));
    move(drawing, ROW_MAIL, &rows->mail, event->at_ms, mail_class(state), mail_words(state));
    break;
  case STORY_MAIL:
    if (strcmp(event->text, "email") == 0) {
      state->is_blocked = event->what == ACCESS_BLOCK;
      move(drawing, ROW_MAIL, &rows->mail, event->at_ms, mail_class(state), mail_words(state));
    }
    break;
  case STORY_TICKET:
    state->is_ticket_open = event->what != TICKET_RESOLVE;
    move(drawing, ROW_TICKET, &rows->ticket, event->at_ms,
         state->is_ticket_open ? "s-bad" : "s-idle",
         state->is_ticket_open ? "ticket open" : "no ticket");
    break;
  case STORY_NOTICE:
  case STORY_POLICY:
    put_mark(drawing, event);
    break;
  case STORY_LICENCE:
  case STORY_AUDIT:
  case STORY_ACTION:
  case STORY_REFUSED:
    break;
  }
}

static void put_timeline(const struct drawing *drawing, const struct story_device *device) {
  struct story_state state = device->before;
  /* What was before the first event in the range is known when the device was. */
  const bool is_new = state.compliance == COMPLIANCE_UNKNOWN && !state.is_blocked;
  const int64_t since_ms =
      is_new && device->event_count > 0 ? device->events[0].at_ms : drawing->begin_ms;
  struct rows rows = {
      .compliance = {since_ms, compliance_class(state.compliance),
                     compliance_name((enum compliance)state.compliance)},
      .mail = {since_ms, mail_class(&state), mail_words(&state)},
      .ticket = {since_ms, state.is_ticket_open ? "s-bad" : "s-idle",
                 state.is_ticket_open ? "ticket open" : "no ticket"},
      .violated_since_ms = since_ms,
      .violated = {device->violation_count, device->violations},
  };
  fprintf(drawing->file, "<svg viewBox=\"0 0 %d %d\" role=\"img\" aria-label=\"timeline\">\n",
          WIDTH, HEIGHT);
  put_frame(drawing);
  for (size_t i = 0; i < device->event_count; i++) {
    follow(drawing, &rows, &state, &device->events[i]);
  }
  put_violations_bar(drawing, rows.violated_since_ms, drawing->end_ms, &rows.violated);
  move(drawing, ROW_COMPLIANCE, &rows.compliance, drawing->end_ms, "", "");
  move(drawing, ROW_MAIL, &rows.mail, drawing->end_ms, "", "");
  move(drawing, ROW_TICKET, &rows.ticket, drawing->end_ms, "", "");
  fputs("</svg>\n", drawing->file);
}

/* The table. ----------------------------------------------------------------------------- */

static const char *event_name(const struct story_event *event) {
  switch (event->kind) {
  case STORY_COMPLIANCE:
    return compliance_name((enum compliance)event->what);
  case STORY_NOTICE:
    return "notice";
  case STORY_MAIL:
    return access_decision_name((enum access_decision)event->what);
  case STORY_TICKET:
    return ticket_action_name((enum ticket_action)event->what);
  case STORY_LICENCE:
    return license_action_name((enum license_action)event->what);
  case STORY_AUDIT:
    return audit_action_name((enum audit_action)event->what);
  case STORY_ACTION:
    return "action";
  case STORY_REFUSED:
    return "refused";
  case STORY_POLICY:
    return "policy";
  }
  assert(false);
  return "";
}

static const char *kind_name(enum story_kind kind) {
  static const char *const names[] = {"compliance", "notice", "access",  "ticket", "licence",
                                      "audit",      "action", "message", "policy"};
  assert((size_t)kind < COUNT_OF(names));
  return names[kind];
}

static void put_table(FILE *file, const struct story_device *device) {
  fprintf(file,
          "<details><summary>%zu events</summary>\n<div class=\"wide\"><table>\n<tr><th>at</th>"
          "<th class=\"n\">result</th><th>of</th><th>what</th></tr>\n",
          device->event_count);
  for (size_t i = 0; i < device->event_count; i++) {
    const struct story_event *event = &device->events[i];
    fputs("<tr><td class=\"t\">", file);
    report_time(file, event->at_ms);
    fprintf(file, "</td><td class=\"n\">%" PRIu64 "</td><td>%s</td><td>%s", event->seq,
            kind_name(event->kind), event_name(event));
    put_violations(file, event->violations);
    if (event->text != NULL) {
      fputs(" ", file);
      report_text(file, event->text);
    }
    fputs("</td></tr>\n", file);
  }
  if (device->left_out > 0) {
    fprintf(file, "<tr><td colspan=\"4\">and %" PRIu64 " more</td></tr>\n", device->left_out);
  }
  fputs("</table></div></details>\n", file);
}

void report_device(FILE *file, const struct report_page *report,
                   const struct story_device *device) {
  const struct story *story = report->story;
  const int64_t end_ms = story->last_at_ms;
  const int64_t begin_ms = report->from_ms != TIME_NONE && report->from_ms < end_ms
                               ? report->from_ms
                               : story->first_at_ms;
  /* A little room on the right, so that the last thing is seen. */
  const struct drawing drawing = {
      .file = file,
      .report = report,
      .begin_ms = begin_ms,
      .end_ms = end_ms + 1000 + (end_ms - begin_ms) / 50,
  };
  char id[DEVICE_ID_SIZE];
  device_id_format(device->number, id);
  fprintf(file, "<section class=\"panel\">\n<h3>%s <span class=\"soft\">", id);
  report_text(file, device->serial);
  fputs("</span></h3>\n", file);
  put_timeline(&drawing, device);
  put_table(file, device);
  fputs("</section>\n", file);
}

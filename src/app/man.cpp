// The manual page, out of the same words as --help.
#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "app/cli.hpp"

namespace bavn::app {

namespace {

/// Text as roff: no line may begin with a control character, '-' is a minus, '\' itself.
std::string roff(std::string_view text) {
  std::string out;
  bool start = true;
  for (const char c : text) {
    if (start && (c == '.' || c == '\'')) out += "\\&";
    if (c == '-') out += "\\-";
    else if (c == '\\') out += "\\e";
    else out += c;
    start = c == '\n';
  }
  return out;
}

void describe(const CLI::App& app, const std::string& path, std::string& out) {
  const auto subs = app.get_subcommands([](const CLI::App*) { return true; });
  const auto options =
      app.get_options([](const CLI::Option* o) { return o->get_name() != "--help" && o->get_name() != "--version"; });
  if (!path.empty()) {
    out += fmt::format(".SS {}\n{}\n", roff(path), roff(app.get_description()));
    for (const CLI::Option* o : options) {
      const std::string name = o->get_positional() ? o->get_name(true) : o->get_name(false, true);
      out += fmt::format(".TP\n.B {}{}\n{}{}\n", roff(name),
                         o->get_expected_max() > 0 && !o->get_positional() ? " \\fIvalue\\fR" : "",
                         roff(o->get_description()), o->get_required() ? " (required)" : "");
    }
    if (!app.get_footer().empty()) out += fmt::format(".PP\n{}\n", roff(app.get_footer()));
  }
  for (const CLI::App* sub : subs) describe(*sub, path + (path.empty() ? "" : " ") + sub->get_name(), out);
}

}  // namespace

std::string manual_page(const CLI::App& app) {
  std::string out = fmt::format(
      ".TH BAVN 1 \"\" \"bavn\" \"Bavn\"\n.SH NAME\nbavn \\- {}\n.SH SYNOPSIS\n.B bavn\n\\fIcommand\\fR "
      "[\\fIoptions\\fR]\n"
      ".SH DESCRIPTION\n",
      "warning beacon of municipal cyber defence");
  out +=
      "Reads logs and mail of a municipality, matches them against shared indicators and Sigma rules, keeps months of "
      "history and hunts back "
      "through it (a node); or joins the nodes of many municipalities (a hub). Every command has \\-\\-help; with "
      "\\-\\-json it prints JSON.\n.SH "
      "COMMANDS\n";
  describe(app, "", out);
  out += ".SH EXIT STATUS\n0 done, 1 failed, 2 wrong usage, 3 done but some input could not be read.\n";
  return out;
}

}  // namespace bavn::app

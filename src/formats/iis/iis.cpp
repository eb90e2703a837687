// W3C extended logs (IIS, HTTPERR, Exchange, Windows Firewall): #Fields names the columns. Times are UTC.
#include <vector>

#include "base/text.hpp"
#include "formats/line_reader.hpp"
#include "formats/line_tools.hpp"

namespace bavn::formats::iis {

namespace {

/// IIS writes these columns until somebody changes them; used for lines before any #Fields line.
constexpr std::string_view kDefault =
    "date time s-ip cs-method cs-uri-stem cs-uri-query s-port cs-username c-ip cs(User-Agent) cs(Referer) sc-status sc-substatus "
    "sc-win32-status time-taken";

/// The name that Sigma's rules use for a column, when it is another one.
std::string_view rule_name(std::string_view column) {
  if (iequals(column, "cs(User-Agent)")) return "cs-user-agent";
  if (iequals(column, "cs(Referer)")) return "cs-referer";
  if (iequals(column, "cs(Cookie)")) return "cs-cookie";
  if (iequals(column, "cs(Host)")) return "cs-host";
  return {};
}

class Reader final : public LineReader {
 public:
  Reader() { reset(); }

  LineVerdict read(std::string_view line, FieldSink& sink, std::string& reason) override {
    line = trim(line);
    if (line.starts_with("\xEF\xBB\xBF")) line.remove_prefix(3);
    if (line.empty()) return LineVerdict::meta;
    if (line.front() == '#') return header(line, reason);
    std::string_view date, time;
    std::size_t column = 0;
    for (Cursor at(line); !at.spaces().empty(); ++column) {
      const std::string_view value = word(at);
      if (column >= columns_.size()) {
        reason = "w3c line has more columns than #Fields";
        return LineVerdict::refused;
      }
      if (value == "-" || value.empty()) continue;
      const std::string_view name = columns_[column];
      if (name == "date") date = value;
      else if (name == "time") time = value;
      else if (name == "date-time") date = value;
      const std::string_view rule = rule_name(name);
      if (rule.empty()) {
        sink.put(name, value);
        continue;
      }
      sink.put(name, value);
      scratch_ = value;  // blanks are written as '+'
      for (char& c : scratch_)
        if (c == '+') c = ' ';
      sink.put(rule, scratch_);
    }
    if (column != columns_.size()) {
      reason = known_ ? "w3c line has fewer columns than #Fields" : "w3c line before a #Fields line";
      return LineVerdict::refused;
    }
    if (!known_ && !plausible(date, time)) {
      reason = "w3c line before a #Fields line";
      return LineVerdict::refused;
    }
    scratch_.assign(date);
    if (!time.empty()) scratch_.append("T").append(time);
    if (const auto t = parse_time(scratch_)) sink.happened(*t);
    return LineVerdict::event;
  }

  int likelihood(std::string_view line) const override {
    if (line.starts_with("#Fields: ")) return 100;
    if (line.starts_with("#Software: Microsoft") || line.starts_with("#Version: 1.")) return 95;
    if (line.size() < 20 || line[4] != '-' || line[7] != '-' || line[10] != ' ' || line[13] != ':' || line[19] != ' ') return 0;
    std::size_t n = 0;
    for (Cursor at(line); !at.spaces().empty(); ++n) word(at);
    return n == columns_.size() ? (known_ ? 90 : 60) : 0;
  }

  void reset() override {
    known_ = false;
    set(kDefault);
    context_.clear();
  }
  std::string_view context() const override { return context_; }

 private:
  static bool plausible(std::string_view date, std::string_view time) {
    return date.size() == 10 && date[4] == '-' && time.size() >= 8 && time[2] == ':';
  }
  /// One value; HTTPERR and others quote values that hold blanks.
  static std::string_view word(Cursor& at) {
    if (at.peek() == '"') {
      const std::size_t end = at.rest().find("\" ", 1);
      if (end != std::string_view::npos) {
        const std::string_view v = at.rest().substr(1, end - 1);
        at.advance(end + 2);
        return v;
      }
    }
    return at.word();
  }
  void set(std::string_view names) {
    columns_.clear();
    for (Cursor at(names); !at.spaces().empty() && columns_.size() < 200;) columns_.emplace_back(at.word());
  }
  LineVerdict header(std::string_view line, std::string& reason) {
    if (!line.starts_with("#Fields:")) return LineVerdict::meta;
    if (line.size() > 16384) {
      reason = "w3c #Fields line is too long";
      return LineVerdict::refused;
    }
    names_ = line.substr(8);
    context_ = line;
    set(names_);
    known_ = !columns_.empty();
    return LineVerdict::meta;
  }

  std::vector<std::string> columns_;
  bool known_ = false;
  std::string names_, context_, scratch_;
};

}  // namespace

std::unique_ptr<LineReader> make_reader() {
  return std::make_unique<Reader>();
}

}  // namespace bavn::formats::iis

// W3C extended logs (IIS, HTTPERR, Exchange, Windows Firewall): #Fields names the columns. Times are UTC.
#include <array>
#include <vector>

#include "base/text.hpp"
#include "formats/line_reader.hpp"
#include "formats/line_tools.hpp"

namespace bavn::formats::iis {

namespace {

/// Usual column sets, for lines before any #Fields line (a stream that began in the middle of a file). A set holds when the number
/// of columns is right, sc-status is a number and a method or protocol stands where it should.
#define IIS_REQUEST "cs-method cs-uri-stem cs-uri-query s-port cs-username c-ip "
#define IIS_END "sc-status sc-substatus sc-win32-status "
constexpr std::array<std::string_view, 10> kUsual = {
    "date time s-ip " IIS_REQUEST "cs(User-Agent) cs(Referer) " IIS_END
    "time-taken",  // what IIS writes until it is changed
    "date time s-ip " IIS_REQUEST "cs(User-Agent) " IIS_END "time-taken",
    "date time s-ip " IIS_REQUEST "cs(User-Agent) cs(Referer) " IIS_END "time-taken X-Forwarded-For",
    "date time s-ip " IIS_REQUEST "cs(User-Agent) cs(Referer) cs-host " IIS_END "time-taken",
    "date time s-sitename " IIS_REQUEST "cs(User-Agent) cs(Cookie) cs(Referer) cs-host " IIS_END
    "sc-bytes cs-bytes time-taken",
    "date time s-sitename s-computername s-ip " IIS_REQUEST
    "cs-version cs(User-Agent) cs(Cookie) cs(Referer) cs-host " IIS_END "sc-bytes cs-bytes time-taken",
    "date time s-sitename s-computername s-ip " IIS_REQUEST
    "cs-version cs(User-Agent) cs(Cookie) cs(Referer) cs-host " IIS_END "sc-bytes cs-bytes time-taken X-Forwarded-For",
    "date time c-ip c-port s-ip s-port cs-version cs-method cs-uri sc-status s-siteid s-reason s-queuename",  // HTTPERR
    "date time c-ip c-port s-ip s-port cs-version cs-method cs-uri streamid sc-status s-siteid s-reason s-queuename",
    "date time c-ip c-port s-ip s-port cs-version cs-method cs-uri streamid_ex sc-status s-siteid s-reason s-queuename "
    "transport"};
#undef IIS_REQUEST
#undef IIS_END

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
  LineVerdict read(std::string_view line, FieldSink& sink, std::string& reason) override {
    line = trim(line);
    if (line.starts_with("\xEF\xBB\xBF")) line.remove_prefix(3);
    if (line.empty()) return LineVerdict::meta;
    if (line.front() == '#') return header(line, reason);
    if (!known_) {
      const std::string_view usual = guess(line);
      if (usual.empty()) {
        reason = "w3c line before a #Fields line";
        return LineVerdict::refused;
      }
      set(usual);
    }
    std::string_view date, time;
    std::size_t column = 0;
    for (Cursor at(line); !at.spaces().empty(); ++column) {
      std::string_view value = word(at);
      if (column >= columns_.size()) {
        reason = "w3c line has more columns than #Fields";
        return LineVerdict::refused;
      }
      if (value == "-" || value.empty()) continue;
      const std::string_view name = columns_[column];
      if (name == "date") date = value;
      else if (name == "time") time = value;
      else if (name == "date-time") date = value;
      if (name.ends_with("-ip")) value = value.substr(0, value.find('%'));  // the zone of a link-local address
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
      reason = "w3c line has fewer columns than #Fields";
      return LineVerdict::refused;
    }
    scratch_.assign(date);
    if (!time.empty()) scratch_.append("T").append(time);
    if (const auto t = parse_time(scratch_)) sink.happened(*t);
    return LineVerdict::event;
  }

  int likelihood(std::string_view line) const override {
    if (line.starts_with("#Fields: ")) return 100;
    for (const std::string_view key :
         {"#Software: ", "#Version: ", "#Date: ", "#Remark: ", "#Start-Date: ", "#End-Date: "})
      if (line.starts_with(key)) return 95;
    if (line.size() < 20 || line[4] != '-' || line[7] != '-' || line[10] != ' ' || line[13] != ':' || line[19] != ' ')
      return 0;
    if (!known_) return guess(line).empty() ? 0 : 60;
    std::size_t n = 0;
    for (Cursor at(line); !at.spaces().empty(); ++n) word(at);
    return n == columns_.size() ? 90 : 0;
  }

  void reset() override {
    known_ = false;
    columns_.clear();
    context_.clear();
  }
  std::string_view context() const override { return context_; }

 private:
  static std::string_view guess(std::string_view line) {
    std::array<std::string_view, 24> values;
    std::size_t n = 0;
    for (Cursor at(line); !at.spaces().empty(); ++n) {
      const std::string_view v = word(at);
      if (n == values.size()) return {};
      values[n] = v;
    }
    if (n < 13 || values[0].size() != 10 || values[0][4] != '-' || values[1].size() < 8 || values[1][2] != ':')
      return {};
    for (const std::string_view usual : kUsual) {
      std::size_t k = 0;
      bool fits = true;
      for (Cursor names(usual); !names.spaces().empty(); ++k) {
        const std::string_view name = names.word();
        if (k >= n) break;
        const std::string_view v = values[k];
        if (name == "sc-status" || name == "s-port" || name == "c-port")
          fits = fits && (v == "-" || (all_digits(v) && v.size() <= 5));
        else if (name == "c-ip") fits = fits && looks_like_ip(v.substr(0, v.find('%')));
        else if (name == "cs-uri-stem") fits = fits && (v.starts_with('/') || v == "-" || v == "*");
      }
      if (fits && k == n) return usual;
    }
    return {};
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

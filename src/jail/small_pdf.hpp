#pragma once
// For tests: the smallest PDF that says these lines, a page each. Thread rules: plain functions.
#include <string>
#include <string_view>
#include <vector>

namespace bavn::jail {

/// Lines of a page are separated by \n; parentheses and backslashes are escaped. `more`: entries of the trailer, as of an encrypted one.
/// `objects`: further objects, from number 4 + 2 * pages on. `fonts`: the font dictionary of all pages.
inline std::string small_pdf(
    const std::vector<std::string>& pages, std::string_view more = {}, const std::vector<std::string>& objects = {},
    std::string_view font = "<</Type/Font/Subtype/Type1/BaseFont/Helvetica/Encoding/WinAnsiEncoding>>",
    std::string_view resources = {}) {
  std::vector<std::string> all = {"<</Type/Catalog/Pages 2 0 R>>", "", std::string(font)};
  std::string kids;
  for (const std::string& page : pages) {
    const std::size_t number = all.size() + 1;
    kids += std::to_string(number) + " 0 R ";
    all.push_back("<</Type/Page/Parent 2 0 R/MediaBox[0 0 600 800]/Resources<</Font<</F 3 0 R>>" +
                  std::string(resources) + ">>/Contents " + std::to_string(number + 1) + " 0 R>>");
    std::string content = page;
    if (!page.starts_with('%')) {  // "%...": operators as they are
      content = "BT /F 10 Tf 12 TL 50 750 Td\n(";
      for (const char c : page) {
        if (c == '\n') content += ") Tj T*\n(";
        else if (c == '(' || c == ')' || c == '\\') content += std::string("\\") + c;
        else content += c;
      }
      content += ") Tj ET";
    }
    all.push_back("<</Length " + std::to_string(content.size()) + ">>stream\n" + content + "\nendstream");
  }
  all[1] = "<</Type/Pages/Kids[" + kids + "]/Count " + std::to_string(pages.size()) + ">>";
  all.insert(all.end(), objects.begin(), objects.end());
  std::string out = "%PDF-1.4\n";
  std::string table;
  for (std::size_t i = 0; i < all.size(); ++i) {
    std::string at = std::to_string(out.size());
    at.insert(0, 10 - at.size(), '0');
    table += at + " 00000 n \n";
    out += std::to_string(i + 1) + " 0 obj\n" + all[i] + "\nendobj\n";
  }
  const std::size_t start = out.size(), count = all.size() + 1;
  out += "xref\n0 " + std::to_string(count) + "\n0000000000 65535 f \n" + table + "trailer\n<</Size " +
         std::to_string(count) + "/Root 1 0 R" + std::string(more) + ">>\nstartxref\n" + std::to_string(start) +
         "\n%%EOF\n";
  return out;
}

/// One that asks for a password.
inline std::string locked_pdf() {
  const std::string zeros(64, '0');
  return small_pdf(
      {"secret"},
      "/ID[<00112233445566778899aabbccddeeff><00112233445566778899aabbccddeeff>]/Encrypt<</Filter/Standard/V 1/R 2/O<" +
          zeros + ">/U<" + zeros + ">/P -4>>");
}

/// A thousand million words, each drawn by something that draws something ten times.
inline std::string bomb_pdf() {
  std::vector<std::string> forms;
  std::string names = "/XObject<<";
  for (int i = 0; i < 10; ++i) {
    const int number = 6 + i;  // one page: objects 4 and 5
    names += "/X" + std::to_string(i) + " " + std::to_string(number) + " 0 R";
    std::string content;
    for (int k = 0; k < 10; ++k)
      content += i == 9 ? "BT /F 10 Tf (boom) Tj ET " : "/X" + std::to_string(i + 1) + " Do ";
    forms.push_back("<</Type/XObject/Subtype/Form/BBox[0 0 600 800]/Resources 16 0 R/Length " +
                    std::to_string(content.size()) + ">>stream\n" + content + "\nendstream");
  }
  names += ">>";
  forms.push_back("<</Font<</F 3 0 R>>" + names + ">>");
  return small_pdf({"%bomb\n/X0 Do"}, {}, forms, "<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>", names);
}

}  // namespace bavn::jail

#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "hidreamer/report/report_data.h"

// The page's sections, each a function of the data alone. What is missing is named in its place.
namespace hidreamer::report {

std::string LearningSection(const ReportData& data);    // an online agent's score as it learned
std::string AgentDreamSection(const ReportData& data);  // its dream beside the game
std::string HeadlineSection(const ReportData& data);    // every figure beside its baseline
std::string PlaySection(const ReportData& data);        // scores in the real game
std::string DreamSection(const ReportData& data);       // a dream beside what happened
std::string PredictionSection(const ReportData& data);  // one step: against copying
std::string OpenLoopSection(const ReportData& data);    // error against how far it was dreamed
std::string ProbeSection(const ReportData& data);       // what can be read from the states
std::string CodesSection(const ReportData& data);       // usage, sharing, what a code looks like
std::string MaskSection(const ReportData& data);        // who attends to whom
std::string TrainingSection(const ReportData& data);    // curves of every stage
std::string ProvenanceSection(const ReportData& data);  // configuration, versions, machine, time

// A self-contained file in the page's style; both are HTML already.
std::string WholePage(const std::string& title, const std::string& body);

// The whole file, self-contained, one run after the other. A section whose data cannot be read says
// so instead of failing.
std::string RenderPage(const std::vector<ReportData>& runs);

// The page of runs on disk. Throws a user Error where a directory is missing.
std::string RenderReport(const std::vector<std::filesystem::path>& runs);

// Writes it to report.html in the first of them. Returns the path.
std::filesystem::path WriteReport(const std::vector<std::filesystem::path>& runs);

}  // namespace hidreamer::report

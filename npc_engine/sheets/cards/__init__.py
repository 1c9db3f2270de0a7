"""Character Cards V1, V2 and V3 as JSON, PNG and CHARX: to sheets and back without loss."""
